package examples_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const (
	teamA = "127.0.0.2"
	teamB = "127.0.0.3"
)

func centralSecrets(s *secrets, authority *ca.CA) {
	s.put("ai/vendor-ca", "ca.crt", string(authority.PEM()))
	s.put("platform/vendor-key", "token", "sk-shared-1")
	s.put("platform/team-a-key", "token", "sk-team-a-1")
}

func startCentral(t *testing.T) (*gateway, *secrets, *upstream.Upstream) {
	t.Helper()
	s, authority := named(t, "central-credentials"), testkit.CA(t, "vendor")
	made := newSecretsOf(t, s, authority)
	up := far(t, upstream.Config{Address: "127.0.11.2:8443", Certificate: testkit.Issue(t, authority, vendorLeaf)})
	return start(t, s, made, "127.0.0.1:18082"), made, up
}

// key is the credential that the far side was shown.
func key(t testing.TB, a answer) string {
	t.Helper()
	return strings.Join(a.echoed(t).Header["Authorization"], "|")
}

func TestCentralCredentials(t *testing.T) {
	g, _, up := startCentral(t)
	for address, want := range map[string]struct{ key, project string }{
		teamA: {"Bearer sk-team-a-1", "project-a"}, teamB: {"Bearer sk-shared-1", "mine"}, "127.0.0.1": {"Bearer sk-shared-1", "mine"},
	} {
		a := g.from(address, false).get("/v1/models?api_key=of-the-client&a=1", "Authorization", "Bearer of-the-client", "X-Vendor-Project", "mine")
		if got, project := key(t, a), a.echoed(t).Header.Get("X-Vendor-Project"); got != want.key || project != want.project {
			t.Errorf("%s was %q with project %q, want %q and %q", address, got, project, want.key, want.project)
		}
	}
	for _, seen := range up.Requests() {
		if strings.Contains(seen.Head, "of-the-client") || seen.Target != "/v1/models?a=1" {
			t.Errorf("what a client sent as credential went on:\n%s", seen.Head)
		}
	}
}

// TestCentralRotation changes the key under load. No request fails, the new key is in use within a second, and no request
// that began after an answer to the new key carries an old one.
func TestCentralRotation(t *testing.T) {
	g, made, _ := startCentral(t)
	const last = 4
	var newest, calls atomic.Int64 // the newest key that a far side was shown; calls that were answered
	newest.Store(1)
	stop := make(chan struct{})
	var running sync.WaitGroup
	for i := range 4 {
		caller := g.from(teamB, i%2 == 0)
		running.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if message := rotationCall(caller, &newest); message != "" {
					t.Error(message)
					return
				}
				calls.Add(1)
			}
		})
	}
	for n := int64(2); n <= last; n++ {
		before := calls.Load()
		eventually(t, patience, "calls go through", func() bool { return calls.Load() > before+20 || t.Failed() })
		made.put("platform/vendor-key", "token", fmt.Sprintf("sk-shared-%d", n))
		eventually(t, time.Second, "the new key is in use", func() bool { return newest.Load() >= n || t.Failed() })
	}
	close(stop)
	running.Wait()
	if calls.Load() < 60 {
		t.Errorf("%d calls were no load", calls.Load())
	}
}

// rotationCall makes one call and says what was wrong with it.
func rotationCall(caller *client, newest *atomic.Int64) string {
	least := newest.Load()
	a, err := caller.try(http.MethodPost, "/v1/answers", "question")
	if err != nil || a.status != http.StatusOK {
		return fmt.Sprintf("a call failed: %v, answer %d %s", err, a.status, a.body)
	}
	_, text, found := strings.Cut(a.body, "Bearer sk-shared-")
	var used int64
	if _, err := fmt.Sscanf(text, "%d", &used); !found || err != nil {
		return "the far side was shown no key: " + a.body
	}
	if used < least {
		return fmt.Sprintf("key %d was used after key %d", used, least)
	}
	for now := newest.Load(); used > now && !newest.CompareAndSwap(now, used); now = newest.Load() {
	}
	return ""
}

// TestCentralRevocation deletes a Secret: requests that need it fail at once and carry no other key; and brings it back.
func TestCentralRevocation(t *testing.T) {
	g, made, up := startCentral(t)
	a, b := g.from(teamA, true), g.from(teamB, true)
	if key(t, a.get("/")) != "Bearer sk-team-a-1" || key(t, b.get("/")) != "Bearer sk-shared-1" {
		t.Fatal("the keys are not what they should be")
	}
	made.remove("platform/vendor-key")
	var got answer
	eventually(t, time.Second, "the deleted Secret is no longer used", func() bool { got = b.get("/"); return got.status != http.StatusOK })
	refused(t, got, http.StatusInternalServerError, "credential_unavailable", "CredentialInjector/ai/vendor", "")
	if !strings.Contains(got.problem.Detail, "platform/vendor-key") {
		t.Errorf("the detail does not name the Secret: %s", got.problem.Detail)
	}
	heads := up.Heads()
	refused(t, b.get("/"), http.StatusInternalServerError, "credential_unavailable", "CredentialInjector/ai/vendor", "")
	if up.Heads() != heads {
		t.Error("a request without its credential went on")
	}
	if own := a.get("/"); own.status != http.StatusOK || key(t, own) != "Bearer sk-team-a-1" {
		t.Errorf("a client with a key of its own got %d, %q", own.status, key(t, own))
	}
	made.put("platform/vendor-key", "token", "sk-shared-2")
	eventually(t, time.Second, "the restored Secret is used", func() bool { got = b.get("/"); return got.status == http.StatusOK })
	if got := key(t, got); got != "Bearer sk-shared-2" {
		t.Errorf("the far side was shown %q", got)
	}
}

// TestCentralGrantWithdrawn takes the platform team's leave away, in a copy of the story: the Secrets are there, and no
// request gets their keys.
func TestCentralGrantWithdrawn(t *testing.T) {
	s, authority := named(t, "central-credentials"), testkit.CA(t, "vendor")
	made := newSecretsOf(t, s, authority)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(s.name)); err != nil {
		t.Fatal(err)
	}
	s.name = dir
	up := far(t, upstream.Config{Address: "127.0.11.2:8443", Certificate: testkit.Issue(t, authority, vendorLeaf)})
	g := start(t, s, made, "127.0.0.1:18082")
	caller, grant, aside := g.from(teamB, true), filepath.Join(dir, "grant.yaml"), filepath.Join(made.next, "grant.yaml")
	if got := key(t, caller.get("/")); got != "Bearer sk-shared-1" {
		t.Fatalf("the far side was shown %q", got)
	}
	if err := os.Rename(grant, aside); err != nil {
		t.Fatal(err)
	}
	var got answer
	eventually(t, time.Second, "the grant is withdrawn", func() bool { got = caller.get("/"); return got.status != http.StatusOK })
	refused(t, got, http.StatusInternalServerError, "credential_unavailable", "CredentialInjector/ai/vendor", "")
	heads := up.Heads()
	if a := g.from(teamA, false).get("/"); a.status != http.StatusInternalServerError || up.Heads() != heads {
		t.Errorf("answer %d after %d requests, now %d", a.status, heads, up.Heads())
	}
	if err := os.Rename(aside, grant); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Second, "the grant is back", func() bool { return caller.get("/").status == http.StatusOK })
}

// TestCentralRejectedKey holds that an answer which echoes a key does not reach the client.
func TestCentralRejectedKey(t *testing.T) {
	s, authority := named(t, "central-credentials"), testkit.CA(t, "vendor")
	far(t, upstream.Config{
		Address: "127.0.11.2:8443", Certificate: testkit.Issue(t, authority, vendorLeaf),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Error(w, "no such key: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
		}),
	})
	g := start(t, s, newSecretsOf(t, s, authority), "127.0.0.1:18082")
	a := g.from(teamB, false).get("/v1/models")
	refused(t, a, http.StatusBadGateway, "credential_rejected", "CredentialInjector/ai/vendor", "")
	if strings.Contains(a.body, "sk-shared-1") {
		t.Error("the key shows in the answer")
	}
}
