package propagation

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const page = `# From a changed route to its first answer

Written by ` + "`make propagation`" + `: a real API server and etcd, the real controller and a real proxy, each a process of its own, on one machine of %d cores
that clients and API server share. The times are from the watch event of a change, as a client of the API server sees it, to the first answer that shows it.

| routes | changes | median | 99th percentile | slowest | requests meanwhile | wrong or failed |
|---|---|---|---|---|---|---|
| %d | %d | %s | %s | %s | %d | %d |

| process | memory at start | with all routes | at the end | CPU for each change |
|---|---|---|---|---|
| controller | %d MiB | %d MiB | %d MiB | %s |
| proxy | %d MiB | %d MiB | %d MiB | %s |

The proxy's CPU is that of its traffic too. All %[3]d changes were made one after another, each to another route, while a client asked all routes in turn.
`

// name, path and where a route leads say which it is and how new.
func name(i int) string              { return fmt.Sprintf("route-%05d", i) }
func location(i, version int) string { return fmt.Sprintf("v%d-%d.test", version, i) }

func (r *rig) route(i int) map[string]any {
	return map[string]any{"kind": "HTTPRoute", "metadata": map[string]any{"name": name(i)}, "spec": map[string]any{
		"parentRefs": []any{map[string]any{"name": "egress"}},
		"rules":      rules(i, 0),
	}}
}

func rules(i, version int) []any {
	return []any{map[string]any{
		"matches": []any{map[string]any{"path": map[string]any{"type": "PathPrefix", "value": "/" + name(i)}}},
		"filters": []any{map[string]any{"type": "RequestRedirect", "requestRedirect": map[string]any{"hostname": location(i, version), "statusCode": int64(302)}}},
	}}
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 8},
}

// ask gives the host that a route leads to.
func (r *rig) ask(ctx context.Context, i int) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/"+name(i), nil)
	if err != nil {
		return "", err
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	_ = answer.Body.Close() // it has none
	if answer.StatusCode != http.StatusFound {
		return "", fmt.Errorf("%s: %s", name(i), answer.Status)
	}
	to, err := answer.Location()
	if err != nil {
		return "", err
	}
	return to.Hostname(), nil
}

// served waits until a route leads where it should, and gives the time.
func (r *rig) served(i, version int) time.Time {
	r.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Microsecond) {
		host, err := r.ask(r.t.Context(), i)
		if err == nil && host == location(i, version) {
			return time.Now()
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s leads to %q, %v", name(i), host, err)
		}
	}
}

// event is that a client of the API server has heard of a generation of a route.
type event struct {
	route      string
	generation int64
	at         time.Time
}

// watch gives the events of all routes as they come.
func (r *rig) watch(ctx context.Context) <-chan event {
	r.t.Helper()
	w, err := r.client.Resource(routesGVR).Namespace(r.namespace).Watch(ctx, metav1.ListOptions{})
	must(r.t, err)
	events := make(chan event, 10**routes+10**changes)
	go func() {
		for e := range w.ResultChan() {
			if u, ok := e.Object.(*unstructured.Unstructured); ok {
				events <- event{u.GetName(), u.GetGeneration(), time.Now()}
			}
		}
	}()
	return events
}

// of is when the first event of a generation came.
func of(t *testing.T, events <-chan event, route string, generation int64) time.Time {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case e := <-events:
			if e.route == route && e.generation == generation {
				return e.at
			}
		case <-late:
			t.Fatalf("no event of %s", route)
		}
	}
}

// traffic asks all routes in turn, until it is stopped.
type traffic struct {
	requests, wrong atomic.Int64
	first           atomic.Pointer[string]
	stop            func()
}

func (r *rig) traffic() *traffic {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var all sync.WaitGroup
	c := &traffic{stop: func() { cancel(); all.Wait() }}
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i = (i + 1) % *routes {
			host, err := r.ask(ctx, i)
			if ctx.Err() != nil {
				return
			}
			c.requests.Add(1)
			if err != nil || !strings.HasSuffix(host, fmt.Sprintf("-%d.test", i)) {
				text := fmt.Sprintf("%s led to %q, %v", name(i), host, err)
				c.wrong.Add(1)
				c.first.CompareAndSwap(nil, &text)
			}
			time.Sleep(time.Millisecond)
		}
	})
	return c
}

func TestPropagation(t *testing.T) {
	r := newRig(t, suite.Server(t))
	atStart := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}
	for i := range *routes {
		r.create(routesGVR, r.route(i))
	}
	for i := range *routes {
		r.served(i, 0)
	}
	whole := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard, clients := r.watch(ctx), r.traffic()
	took := make([]time.Duration, *changes)
	for n := range took {
		i := n * 7919 % *routes // all over
		body := fmt.Appendf(nil, `[{"op":"replace","path":"/spec/rules/0/filters/0/requestRedirect/hostname","value":%q}]`, location(i, n+1))
		u, err := r.client.Resource(routesGVR).Namespace(r.namespace).Patch(t.Context(), name(i), types.JSONPatchType, body, metav1.PatchOptions{})
		must(t, err)
		took[n] = r.served(i, n+1).Sub(of(t, heard, name(i), u.GetGeneration()))
	}
	atEnd := [2]cost{costOf(t, r.controller), costOf(t, r.proxy)}
	clients.stop()
	if clients.wrong.Load() > 0 {
		t.Errorf("of %d requests %d were answered wrong: %s", clients.requests.Load(), clients.wrong.Load(), *clients.first.Load())
	}
	slices.Sort(took)
	per := func(i int) time.Duration {
		return ((atEnd[i].cpu - whole[i].cpu) / time.Duration(*changes)).Round(100 * time.Microsecond)
	}
	text := fmt.Sprintf(page, runtime.NumCPU(), *routes, *changes, short(took[len(took)/2]), short(took[len(took)*99/100]), short(took[len(took)-1]),
		clients.requests.Load(), clients.wrong.Load(),
		atStart[0].memory, whole[0].memory, atEnd[0].memory, per(0), atStart[1].memory, whole[1].memory, atEnd[1].memory, per(1))
	t.Log(text)
	if *report != "" && !t.Failed() {
		must(t, os.WriteFile(*report, []byte(text), 0o600))
	}
}

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
