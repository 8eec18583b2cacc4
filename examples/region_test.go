package examples_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func regionSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/provider-ca", "ca.crt", string(authority.PEM()))
}

var places = map[string]string{"frankfurt": "127.0.11.131:8443", "paris": "127.0.11.132:8443", "virginia": "127.0.11.133:8443"}

// world is the gateway, on a copy of the story's files, and the authority of the provider.
type world struct {
	*gateway
	authority *ca.CA
}

func startWorld(t *testing.T) *world {
	t.Helper()
	s, authority := copied(t, "region-locks"), testkit.CA(t, "provider")
	return &world{start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18093"), authority}
}

// place starts the provider in one. Its answer is its name; with a status it answers so instead.
func (w *world) place(name string, status int) *upstream.Upstream {
	w.t.Helper()
	return far(w.t, upstream.Config{
		Address: places[name], Certificate: testkit.Issue(w.t, w.authority, ca.Leaf{DNSNames: []string{name + ".provider.test"}}),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(name)) // a client that left is no matter
		}),
	})
}

// until calls until the answer is of a status and, where it is a refusal, has a reason.
func (w *world) until(caller *client, status int, reason string) answer {
	w.t.Helper()
	var a answer
	eventually(w.t, patience, "the change is in force", func() bool {
		a = caller.get("/until")
		return a.status == status && a.problem.Reason == reason
	})
	return a
}

// left is what a line says of a backend that the policy left out.
func left(name, region string) candidate {
	return candidate{"Backend/ai/" + name, region, "region_not_allowed", "RegionAllowListPolicy/ai/europe", "spec.regions"}
}

// TestRegionLocks: whatever becomes of the regions that are allowed, there is no packet for another one.
func TestRegionLocks(t *testing.T) {
	w := startWorld(t)
	virginia := w.place("virginia", http.StatusOK)
	caller := w.from("127.0.0.1", true)
	post := func(path, want string) {
		t.Helper()
		if a := caller.do(http.MethodPost, path, "a question"); a.status != http.StatusOK || a.body != want {
			t.Errorf("%s: answer %d %s, want %s", path, a.status, a.body, want)
		}
	}
	frankfurt, paris := w.place("frankfurt", http.StatusOK), w.place("paris", http.StatusOK)
	post("/first", "frankfurt")
	if paris.Connections() != 0 {
		t.Errorf("%d connections to the second tier", paris.Connections())
	}
	end(t, frankfurt)
	post("/frankfurt-down", "paris")
	end(t, paris)
	for i := range 10 { // until both are ejected, and used as if all were well
		path := "/both-down/" + string(rune('0'+i))
		refused(t, caller.do(http.MethodPost, path, "a question"), http.StatusBadGateway, "connect_failed", "", "")
		if e := w.logged("", path); !slices.Equal(e.Vetoed, []candidate{left("virginia", "us-east-1")}) {
			t.Errorf("%s: left out was %v", path, e.Vetoed)
		}
	}
	w.place("paris", http.StatusTooManyRequests)
	if a := caller.do(http.MethodPost, "/paris-busy", "a question"); a.status != http.StatusTooManyRequests || a.body != "paris" {
		t.Errorf("answer %d %s", a.status, a.body)
	}
	silent(t, virginia, 0)
}

func end(t *testing.T, up *upstream.Upstream) {
	t.Helper()
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRegionNothingLeft: with no region left nothing is asked, and the audit log has whom the policy left out.
func TestRegionNothingLeft(t *testing.T) {
	w := startWorld(t)
	var all []*upstream.Upstream
	for name := range places {
		all = append(all, w.place(name, http.StatusOK))
	}
	caller := w.from("127.0.0.1", true)
	if a := caller.get("/"); a.body != "frankfurt" {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	w.change("regions.yaml", `"eu-*"`, `"ap-*"`)
	w.until(caller, http.StatusForbidden, "region_not_allowed")
	heads := seenBy(all)
	refused(t, caller.do(http.MethodPost, "/nowhere", "a question"), http.StatusForbidden, "region_not_allowed", "RegionAllowListPolicy/ai/europe", "spec.regions")
	want := []candidate{left("frankfurt", "eu-central-1"), left("paris", "eu-west-3"), left("virginia", "us-east-1")}
	if e := w.logged("denied", "/nowhere"); !slices.Equal(e.Candidates, want) {
		t.Errorf("the audit log has %v, want %v", e.Candidates, want)
	}
	if got := seenBy(all); got != heads {
		t.Errorf("the places saw %d requests, and before %d", got, heads)
	}
}

func seenBy(all []*upstream.Upstream) int {
	n := 0
	for _, up := range all {
		n += up.Heads()
	}
	return n
}

// TestRegionUnknown: a destination whose region nobody states is nowhere that data may go.
func TestRegionUnknown(t *testing.T) {
	w := startWorld(t)
	frankfurt, paris := w.place("frankfurt", http.StatusOK), w.place("paris", http.StatusOK)
	caller := w.from("127.0.0.1", true)
	w.change("frankfurt.yaml", "  region: eu-central-1\n", "")
	eventually(t, patience, "the region is gone", func() bool { return caller.get("/").body == "paris" })
	heads := frankfurt.Heads()
	end(t, paris)
	refused(t, caller.do(http.MethodPost, "/unknown", "a question"), http.StatusBadGateway, "connect_failed", "", "")
	unknown := left("frankfurt", "")
	unknown.Field = "spec.unknown"
	if e := w.logged("", "/unknown"); !slices.Contains(e.Vetoed, unknown) {
		t.Errorf("left out was %v", e.Vetoed)
	}
	if got := frankfurt.Heads(); got != heads {
		t.Errorf("%d requests went to a region that nobody states", got-heads)
	}
}

// TestRegionOpenedAndShut allows a region under load, and takes it away again. What begins after the first refusal
// reaches nobody there, connections that are open or not.
func TestRegionOpenedAndShut(t *testing.T) {
	w := startWorld(t)
	virginia := w.place("virginia", http.StatusOK)
	first := w.from("127.0.0.1", true)
	refused(t, first.get("/"), http.StatusBadGateway, "connect_failed", "", "")
	silent(t, virginia, 0)
	w.change("regions.yaml", `"eu-*"`, `"us-*"`)
	if a := w.until(first, http.StatusOK, ""); a.body != "virginia" {
		t.Errorf("answered by %s", a.body)
	}
	var shut atomic.Bool
	var served, after atomic.Int64
	var running sync.WaitGroup
	for range 3 {
		caller := w.from("127.0.0.1", true)
		running.Go(func() {
			for refusals, late := 0, time.Now().Add(patience); refusals < 20 && time.Now().Before(late); {
				before := shut.Load()
				a, err := caller.try(http.MethodPost, "/load", "a question")
				switch {
				case err != nil:
					t.Error(err)
					return
				case a.status == http.StatusOK:
					served.Add(1)
					if before {
						after.Add(1)
					}
				default:
					refused(t, a, http.StatusForbidden, "region_not_allowed", "RegionAllowListPolicy/ai/europe", "spec.regions")
					shut.Store(true)
					refusals++
				}
			}
		})
	}
	eventually(t, patience, "calls go through", func() bool { return served.Load() > 20 || t.Failed() })
	if virginia.Open() == 0 {
		t.Error("no connection is kept")
	}
	w.change("regions.yaml", `"us-*"`, `"ap-*"`)
	running.Wait()
	if n := after.Load(); n != 0 || !shut.Load() {
		t.Errorf("%d requests went to a region after it was shut, or it never was", n)
	}
	heads := virginia.Heads()
	refused(t, first.get("/shut"), http.StatusForbidden, "region_not_allowed", "RegionAllowListPolicy/ai/europe", "spec.regions")
	if got := virginia.Heads(); got != heads {
		t.Errorf("%d requests went there at last", got-heads)
	}
}
