package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/identify"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// callers notes who the clients were.
type callers struct {
	*recorder
	who chan exchange.Client
}

func (c *callers) End(x *exchange.Exchange) {
	c.recorder.End(x)
	c.who <- x.Client
}

// newCluster is a rig on Kubernetes whose Pods a test tells of, with a far side that counts as a Service's known Pod.
func newCluster(t *testing.T) (*rig, *identify.Pods, *upstream.Upstream, chan exchange.Client) {
	t.Helper()
	far := testkit.Upstream(t, upstream.Config{Handler: upstream.Body(10)})
	pods, seen := new(identify.Pods), &callers{newRecorder(), make(chan exchange.Client, 1000)}
	s, err := New(Config{Kubernetes: true, Pods: pods, Observer: seen, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	port := freePort(t)
	r := &rig{Server: s, t: t, seen: seen.recorder, listen: "127.0.0.1:" + strconv.Itoa(port), plan: &plan.Plan{
		Gateways: []*plan.Gateway{{
			Name: "t/g", Class: "ebbgate", PodAddress: true, Listeners: []*plan.Listener{{Name: "http", Port: port, Protocol: plan.HTTP}},
		}},
		Rules: []*plan.Rule{{
			Name: "HTTPRoute/t/r#0", Route: "HTTPRoute/t/r", Parents: []plan.Parent{{Gateway: "t/g", Listener: "http"}},
			Matches:  []plan.Match{{Path: plan.ValueMatch{Type: plan.PathPrefix, Value: "/"}}},
			Backends: []plan.RuleBackend{{Backend: "Service/t/far:80", Weight: 1}},
		}},
		Backends: []*plan.Backend{service("far", far.Addr())},
	}}
	r.update()
	return r, pods, far, seen.who
}

func podAt(name, uid, account, address string) map[string]*plan.Workload {
	return map[string]*plan.Workload{"Pod/" + name: {
		Name: "Pod/" + name, UID: uid, ServiceAccount: account, Addresses: []netip.Addr{netip.MustParseAddr(address)},
	}}
}

// from is a client with one connection, from a loopback address of its own.
func from(t *testing.T, address string, h2 bool) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, MaxConnsPerHost: 1, DisableCompression: true}
	if h2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

// TestPodsAreKnownByAddress: a Pod that lies in every field stays itself, and what it sent to be known by goes no further.
func TestPodsAreKnownByAddress(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		r, pods, far, who := newCluster(t)
		pods.Update(podAt("web/a", "1", "front", "127.0.0.2"), true)
		ask := func(c *http.Client) exchange.Client {
			t.Helper()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.listen+"/0", nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, lie := range []string{"Proxy-Authorization", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "Ebbgate-Hop", "Ebbgate-Client"} {
				req.Header.Set(lie, "Bearer for=127.0.0.3")
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if _, err := io.Copy(io.Discard, res.Body); err != nil {
				t.Fatal(err)
			}
			return <-who
		}
		c := from(t, "127.0.0.2", h2)
		if got := ask(c); got.String() != "web/front" || got.Source != exchange.SourcePodAddress || got.Pod != "a" {
			t.Errorf("HTTP/2 %t: %+v", h2, got)
		}
		for _, seen := range far.Requests() {
			if strings.Contains(seen.Head, "127.0.0.3") {
				t.Errorf("the destination saw %s", seen.Head)
			}
		}
		// Its connection ends with it, and the next one from the address is the next Pod's.
		open := r.Active()
		pods.Update(map[string]*plan.Workload{"Pod/web/a": nil}, false)
		for tick := time.NewTicker(time.Millisecond); r.Active() == open; {
			<-tick.C
		}
		pods.Update(podAt("ai/b", "2", "batch", "127.0.0.2"), false)
		if got := ask(c); got.String() != "ai/batch" {
			t.Errorf("HTTP/2 %t: %+v", h2, got)
		}
		if got := ask(from(t, "127.0.0.4", h2)); got.Known() {
			t.Errorf("HTTP/2 %t: %+v", h2, got)
		}
		// A name that comes while the first request waits is in time.
		late := from(t, "127.0.0.5", h2)
		go pods.Update(podAt("ai/c", "3", "slow", "127.0.0.5"), false)
		if got := ask(late); got.String() != "ai/slow" {
			t.Errorf("HTTP/2 %t: %+v", h2, got)
		}
	}
}

// TestListenersOnKubernetes: a Pod's listeners are reached at its address, whichever it is, and not by the Pod itself alone.
func TestListenersOnKubernetes(t *testing.T) {
	r, _, _, _ := newCluster(t)
	for _, a := range r.Addresses() {
		if tcp, ok := a.(*net.TCPAddr); !ok || !tcp.IP.IsUnspecified() {
			t.Errorf("a listener is bound to %s", a)
		}
	}
	if len(r.Addresses()) != 1 {
		t.Errorf("%d listeners are bound", len(r.Addresses()))
	}
}
