package dial

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/tunnel"
)

// parent is a target at a proxy, by a name of its own.
func (n *near) parent(t *testing.T, at string, setting *TLS) *Target {
	t.Helper()
	c := n.config(addressed{address: at}, setting)
	c.Backend.Name, c.Hostname = "Backend/ai/hub", "hub.test"
	n.pin("hub.test", "127.0.0.1")
	settings := n.settings
	c.Settings = &settings
	return n.prepare(t, c)
}

// through is a target of that name and port 443, which nobody here could resolve.
func (n *near) through(t *testing.T, parent *Target, name string, setting *TLS) *Target {
	t.Helper()
	settings := n.settings
	return n.prepare(t, TargetConfig{
		Gateway: "infra/egress", Backend: &plan.Backend{Name: "Backend/ai/" + name, Origin: plan.Resolved, Hostname: name, Port: 443},
		Hostname: name, TLS: setting, Settings: &settings, Through: parent,
	})
}

func (n *near) tunnel(t *testing.T, target *Target, hop string) *Target {
	t.Helper()
	one, err := target.Tunnel(target.Hostname, hop)
	if err != nil {
		t.Fatal(err)
	}
	return one
}

// pings is one exchange on a connection that goes back to its pool; which one it was is the count of those made.
func (n *near) pings(t *testing.T, target *Target) *Conn {
	t.Helper()
	c := n.get(t, target)
	ping(t, c)
	c.Put()
	return c
}

func TestTunnels(t *testing.T) {
	authority := newAuthority(t)
	inner := authority.server(t, ca.Leaf{DNSNames: []string{"api.test", "b.test"}})
	outer := authority.server(t, ca.Leaf{DNSNames: []string{"hub.test"}})
	f := func(name string, far, proxy *tls.Config) {
		t.Run(name, func(t *testing.T) {
			end := serve(t, "127.0.0.1:0", far)
			p := testkit.Tunnel(t, tunnel.Config{TLS: proxy, Hosts: map[string]string{"api.test:443": end.Addr().String(), "b.test:443": end.Addr().String()}})
			n := dialer(t)
			var own, hubs *TLS
			if far != nil {
				own = authority.setting(t, func(s *plan.TLS) { s.Hostname = "" })
			}
			if proxy != nil {
				hubs = authority.setting(t, func(s *plan.TLS) { s.Hostname = "" })
			}
			parent := n.parent(t, p.Addr(), hubs)
			api, b := n.through(t, parent, "api.test", own), n.through(t, parent, "b.test", own)
			one := n.pings(t, n.tunnel(t, api, "one"))
			if got := one.Address().String(); got != p.Addr() {
				t.Errorf("the address is %s, want the parent's %s", got, p.Addr())
			}
			if n.pings(t, n.tunnel(t, api, "one")) != one {
				t.Error("the tunnel is not used again")
			}
			if n.pings(t, n.tunnel(t, api, "other")) == one || n.pings(t, n.tunnel(t, b, "one")) == one {
				t.Error("a tunnel is used for what it was not opened for")
			}
			asked := p.Asked()
			if len(asked) != 3 || asked[0].Authority != "api.test:443" || asked[2].Authority != "b.test:443" || asked[1].Header.Get("Ebbgate-Hop") != "other" {
				t.Fatalf("asked %+v", asked)
			}
			if second := testkit.Tunnel(t, tunnel.Config{TLS: proxy, Hosts: map[string]string{"api.test:443": end.Addr().String()}}); n.pings(t, n.tunnel(t, n.through(t, n.parent(t, second.Addr(), hubs), "api.test", own), "one")) == one {
				t.Error("a tunnel of another parent is used")
			}
			p.HangUp()
			readable(t, one)
			if n.pings(t, n.tunnel(t, api, "one")) == one {
				t.Error("a dead tunnel is used")
			}
		})
	}
	f("plain", nil, nil)
	f("TLS in it", inner, nil)
	f("TLS around it", nil, outer)
	f("TLS in TLS", inner, outer)
}

func TestTunnelsThatAreNotOpened(t *testing.T) {
	f := func(want exchange.Reason, text string, answer func(http.ResponseWriter, *http.Request)) {
		t.Helper()
		p := testkit.Tunnel(t, tunnel.Config{Answer: func(w http.ResponseWriter, r *http.Request) bool { answer(w, r); return true }})
		n := dialer(t)
		n.settings.Timeouts.Connect = 300 * time.Millisecond
		target := n.tunnel(t, n.through(t, n.parent(t, p.Addr(), nil), "api.test", nil), "")
		if failure := n.fails(t, target, want); !strings.Contains(failure.Error(), text) || failure.Address.String() != p.Addr() {
			t.Errorf("%v at %s, want %q", failure, failure.Address, text)
		}
		if len(p.Asked()) != 1 || p.Asked()[0].Header.Get("Ebbgate-Hop") != "" {
			t.Errorf("asked %+v", p.Asked())
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	says := func(answer string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, answer)
			_, _ = io.Copy(io.Discard, c) // until the near side ends it
		}
	}
	f(exchange.ConnectFailed, "Backend/ai/hub answered 407 Proxy Authentication Required", status(http.StatusProxyAuthRequired))
	f(exchange.ConnectFailed, "answered 302", status(http.StatusFound))
	f(exchange.ConnectFailed, "answered 503", status(http.StatusServiceUnavailable))
	f(exchange.ConnectFailed, "malformed", says("SSH-2.0-x\r\n\r\n\r\n"))
	f(exchange.ConnectFailed, "read the parent's answer", says("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("a", maxConnectHead)+"\r\n\r\n"))
	f(exchange.ConnectFailed, "too many interim", says(strings.Repeat("HTTP/1.1 103 Early\r\n\r\n", maxInterim)))
	f(exchange.ConnectTimeout, "CONNECT", says(""))
	f(exchange.ConnectTimeout, "CONNECT", says("HTTP/1.1 200 OK\r\n"))
}

// TestWhatComesWithTheParentsAnswer is the far end's, who may speak first.
func TestWhatComesWithTheParentsAnswer(t *testing.T) {
	f := func(behind string, quiet bool) {
		t.Helper()
		p := testkit.Tunnel(t, tunnel.Config{Answer: func(w http.ResponseWriter, _ *http.Request) bool {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return true
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 103 X\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"+behind)
			_, _ = io.Copy(io.Discard, c)
			return true
		}})
		n := dialer(t)
		c := n.get(t, n.tunnel(t, n.through(t, n.parent(t, p.Addr(), nil), "api.test", nil), ""))
		if c.quiet() != quiet {
			t.Errorf("%q: quiet is %t", behind, !quiet)
		}
		got := make([]byte, len(behind))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != behind {
			t.Errorf("read %q, %v", got, err)
		}
	}
	f("SETTINGS", false)
	f("", true)
}

// TestTunnelsAreVettedAnew: what the stages of the parent refuse now is not used again.
func TestTunnelsAreVettedAnew(t *testing.T) {
	end := serve(t, "127.0.0.1:0", nil)
	p := testkit.Tunnel(t, tunnel.Config{Hosts: map[string]string{"api.test:443": end.Addr().String()}})
	n := dialer(t)
	n.pings(t, n.tunnel(t, n.through(t, n.parent(t, p.Addr(), nil), "api.test", nil), ""))
	hub := n.parent(t, p.Addr(), nil)
	hub.Address = append(hub.Address, addressStage(func(_ context.Context, a *policy.AddressCheck) *exchange.Refusal {
		if a.Hostname != "hub.test" || a.Backend.Name != "Backend/ai/hub" {
			t.Errorf("asked about %+v", a)
		}
		return exchange.Refuse(exchange.AddressDenied, "no longer")
	}))
	n.fails(t, n.tunnel(t, n.through(t, hub, "api.test", nil), ""), exchange.AddressDenied)
	if got := len(p.Asked()); got != 1 {
		t.Errorf("%d tunnels, want 1", got)
	}
}

func TestTunnelsOfAWildcard(t *testing.T) {
	end := serve(t, "127.0.0.1:0", nil)
	p := testkit.Tunnel(t, tunnel.Config{Hosts: map[string]string{"a.wild.test:443": end.Addr().String(), "b.wild.test:443": end.Addr().String()}})
	n := dialer(t)
	wild := n.through(t, n.parent(t, p.Addr(), nil), "*.wild.test", nil)
	for _, name := range []string{"a.wild.test", "b.wild.test", "a.wild.test"} {
		one, err := wild.Tunnel(name, "x")
		if err != nil {
			t.Fatal(err)
		}
		n.pings(t, one)
	}
	if _, err := wild.Tunnel("wild.test", "x"); err == nil {
		t.Error("a name outside of the wildcard passes")
	}
	if got := len(p.Asked()); got != 2 {
		t.Errorf("%d tunnels, want 2", got)
	}
}
