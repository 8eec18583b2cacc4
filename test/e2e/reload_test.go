package e2e_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// served is one gateway with one destination that wants a key, in files of their own.
type served struct {
	folder
	*process
	port int
	up   *upstream.Upstream
}

func serve(t *testing.T, more ...string) *served {
	t.Helper()
	s := &served{folder: newFolder(t), port: testkit.Ports(t, 1)[0], up: testkit.Upstream(t, upstream.Config{})}
	s.write("gateway.yaml", gatewayOn("egress", s.port))
	s.write("api.yaml", route("api"), backend("api", "api.test", portOf(t, s.up.Addr()), plain), pinned("api", "api.test"), bearer("api", "key"))
	s.write("key.yaml", secret("key", "token", "first-key"))
	s.process = run(t, s.folder, more...)
	return s
}

// serves asserts that the destination answers, and that it was sent the key.
func (s *served) serves(t *testing.T, key string) {
	t.Helper()
	got := get(t, s.port, "/api")
	got.ok(t)
	if !strings.Contains(got.body, "Bearer "+key) {
		t.Fatalf("the destination was not sent the key %q: %s", key, got.body)
	}
}

func (s *served) problems(t *testing.T) string {
	t.Helper()
	return send(t, client(t), http.MethodGet, "http://"+s.admin+"/problems", "").body
}

// TestBrokenFolder breaks a folder in one way after the other: what was good serves on, whatever else the edit held.
func TestBrokenFolder(t *testing.T) {
	s := serve(t)
	s.serves(t, "first-key")
	guard := attached("EgressPolicy", "api", "clients: [{namespaces: [nobody]}]")
	f := func(name, text, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s.refuses(t, func() {
				s.write("broken.yaml", text)
			})
			s.serves(t, "first-key")
			if problems := s.problems(t); !strings.Contains(problems, want) || !strings.Contains(problems, "broken.yaml") {
				t.Errorf("/problems does not say %q: %s", want, problems)
			}
			if !strings.Contains(s.Err.String(), want) {
				t.Errorf("stderr does not say %q", want)
			}
			// A good edit beside the broken one is not taken either: half an edit can drop a guardrail.
			s.refuses(t, func() { s.write("key.yaml", secret("key", "token", "second-key")) })
			s.serves(t, "first-key")
			s.refuses(t, func() { s.write("key.yaml", secret("key", "token", "first-key")) })
			s.reloads(t, func() { s.write("broken.yaml", secret("unused", "x", name)) })
			s.serves(t, "first-key")
		})
	}
	f("no YAML", "kind: [", "not valid YAML")
	f("a tab", "kind: X\n\tmetadata: {}", "not valid YAML")
	f("an unknown field", strings.Replace(guard, "clients:", "client:", 1), "spec.client")
	f("a value of the wrong type", strings.Replace(guard, "[{namespaces: [nobody]}]", "5", 1), "spec.clients")
	f("an unknown kind of our group", strings.Replace(guard, "EgressPolicy", "EgressPolcy", 1), "EgressPolcy")
	f("an unknown version of our group", strings.Replace(guard, "v1alpha1", "v9", 1), "v9")
	f("an object twice", secret("key", "token", "again"), "stands in")
	f("a rule that a CRD states", backend("api2", "10.1.2.3", 443, plain), "externalHostname")
	f("two keys of one name", "apiVersion: v1\nkind: ConfigMap\nkind: Secret\nmetadata: {name: x}", "kind")
	f("binary", "\x00\x01\x02", "broken.yaml")

	t.Run("readiness", func(t *testing.T) {
		send(t, client(t), http.MethodGet, "http://"+s.health+"/readyz", "").ok(t)
	})
	s.ends(t)
}

// TestHalfWritten lets an editor write in place, slowly: nothing but whole states are ever served.
func TestHalfWritten(t *testing.T) {
	s := serve(t)
	whole := strings.Join([]string{
		route("api"), backend("api", "api.test", portOf(t, s.up.Addr()), plain), pinned("api", "api.test"), bearer("api", "key"),
		attached("EgressPolicy", "api", "requests: {paths: [/api/**]}"),
	}, "\n---\n")
	file, err := os.OpenFile(s.path("api.yaml"), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	const pieces = 40
	for i := range pieces {
		if _, err := file.WriteString(whole[len(whole)*i/pieces : len(whole)*(i+1)/pieces]); err != nil {
			t.Fatal(err)
		}
		got := get(t, s.port, "/api") // takes the time that a slow writer does
		if got.status != http.StatusOK && got.status != http.StatusForbidden {
			t.Errorf("after %d of %d pieces: %d %s", i+1, pieces, got.status, got.body)
		}
		if got.status == http.StatusOK && !strings.Contains(got.body, "Bearer first-key") {
			t.Errorf("after %d of %d pieces: the request went without its key: %s", i+1, pieces, got.body)
		}
	}
	s.reloads(t, func() {
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		s.write("key.yaml", secret("key", "token", "next-key"))
	})
	get(t, s.port, "/api").is(t, http.StatusForbidden, "request_not_allowed")
	get(t, s.port, "/api/x").ok(t)

	// The whole folder away, as a volume that is unmounted: what was good serves on, and comes back.
	away := s.dir + "-away"
	s.refuses(t, func() {
		if err := os.Rename(s.dir, away); err != nil {
			t.Fatal(err)
		}
	})
	get(t, s.port, "/api/x").ok(t)
	s.after(t, taken, func() {
		if err := os.Rename(away, s.dir); err != nil {
			t.Fatal(err)
		}
		s.write("key.yaml", secret("key", "token", "again"))
	})
	s2 := get(t, s.port, "/api/x")
	s2.ok(t)
	if !strings.Contains(s2.body, "Bearer again") {
		t.Errorf("the folder that came back is not served: %s", s2.body)
	}

	// Truncated and left so: the objects are not gone, the file is not finished.
	s.refuses(t, func() {
		if err := os.Truncate(s.path("api.yaml"), 0); err != nil {
			t.Fatal(err)
		}
	})
	get(t, s.port, "/api/x").ok(t)
	s.ends(t)
}

// TestSecrets rotates, empties, deletes and restores a key: a deleted Secret is a revocation and no accident.
func TestSecrets(t *testing.T) {
	s := serve(t)
	s.serves(t, "first-key")
	s.reloads(t, func() { s.write("key.yaml", secret("key", "token", "second-key")) })
	s.serves(t, "second-key")
	heads := s.up.Heads()
	s.reloads(t, func() { s.remove("key.yaml") })
	get(t, s.port, "/api").is(t, http.StatusInternalServerError, "credential_unavailable")
	if !strings.Contains(s.problems(t), "Secret t/key") {
		t.Errorf("/problems does not name the Secret: %s", s.problems(t))
	}
	s.reloads(t, func() { s.write("key.yaml", secret("key", "other", "x")) })
	get(t, s.port, "/api").is(t, http.StatusInternalServerError, "credential_unavailable")
	if n := s.up.Heads(); n != heads {
		t.Errorf("the destination saw %d requests without a credential", n-heads)
	}
	s.reloads(t, func() { s.write("key.yaml", secret("key", "token", "third-key")) })
	s.serves(t, "third-key")
	s.ends(t)
}

// TestForeign ignores other people's objects with one line each kind, and serves ours.
func TestForeign(t *testing.T) {
	s := serve(t)
	other := func(name string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec: {replicas: 1}"
	}
	s.reloads(t, func() { s.write("other.yaml", other("a"), other("b"), secret("more", "a", "1")) })
	s.reloads(t, func() { s.write("other.yaml", other("a"), other("b"), secret("more", "a", "2")) })
	s.serves(t, "first-key")
	if n := s.Err.Count("Deployment"); n != 1 {
		t.Errorf("%d lines about Deployments, not one", n)
	}
	s.ends(t)
}

// TestPortInUse: at start the process does not start; on reload the other listeners serve, and say nothing false.
func TestPortInUse(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().(*net.TCPAddr).Port

	t.Run("at start", func(t *testing.T) {
		f := newFolder(t)
		f.write("gateway.yaml", gatewayOn("egress", busy))
		p := launch(t, f)
		if code := p.Wait(t); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if !strings.Contains(p.Err.String(), fmt.Sprintf("127.0.0.1:%d", busy)) || strings.Contains(p.Err.String(), "serving on ") {
			t.Errorf("stderr does not name the address: %s", p.Err.String())
		}
	})
	t.Run("pages at start", func(t *testing.T) {
		f := newFolder(t)
		f.write("gateway.yaml", gatewayOn("egress", testkit.Ports(t, 1)[0]))
		address := taken.Addr().String()
		for _, flag := range []string{"--admin", "--health"} {
			p := launch(t, f, flag, address)
			if code := p.Wait(t); code != 1 || !strings.Contains(p.Err.String(), flag+": ") || !strings.Contains(p.Err.String(), address) {
				t.Errorf("%s: exit code %d, stderr %s", flag, code, p.Err.String())
			}
		}
	})
	t.Run("on reload", func(t *testing.T) {
		s := serve(t)
		s.after(t, "cannot be listened on", func() {
			s.write("gateway.yaml", gatewayOn("egress", s.port, fmt.Sprintf("- {name: busy, port: %d, protocol: HTTP}", busy)))
		})
		if !strings.Contains(s.Err.String(), fmt.Sprintf("127.0.0.1:%d", busy)) {
			t.Error("stderr does not name the address")
		}
		s.serves(t, "first-key")
		if problems := s.problems(t); !strings.Contains(problems, fmt.Sprint(busy)) {
			t.Errorf("/problems does not name the address that could not be bound: %s", problems)
		}
		s.after(t, "every listener is bound", func() { _ = taken.Close() }) // it is tried again until it succeeds
		if problems := s.problems(t); strings.Contains(problems, fmt.Sprint(busy)) {
			t.Errorf("/problems names an address that is bound by now: %s", problems)
		}
		s.reloads(t, func() { s.write("key.yaml", secret("key", "token", "second-key")) })
		s.serves(t, "second-key")
		get(t, busy, "/api").ok(t)
		s.ends(t)
	})
}

// TestListenersMove moves a Gateway between overlapping addresses of one port, and back.
func TestListenersMove(t *testing.T) {
	s := serve(t)
	addressed := func(address string) string {
		return strings.Replace(gatewayOn("egress", s.port), "listeners:", "addresses: [{type: IPAddress, value: "+address+"}]\n  listeners:", 1)
	}
	for _, address := range []string{"0.0.0.0", "127.0.0.1", "0.0.0.0"} {
		s.after(t, "configuration taken", func() { s.write("gateway.yaml", addressed(address)) })
		s.serves(t, "first-key")
	}
	other := testkit.Ports(t, 1)[0]
	s.reloads(t, func() { s.write("gateway.yaml", gatewayOn("egress", other)) })
	get(t, other, "/api").ok(t)
	if _, err := try(t.Context(), client(t), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api", s.port), ""); err == nil {
		t.Error("the port of before still answers")
	}
	s.ends(t)
}

// TestTwoGateways on one address and port: the one that precedes serves, and the other says why it does not.
func TestTwoGateways(t *testing.T) {
	s := serve(t)
	s.reloads(t, func() { s.write("second.yaml", gatewayOn("second", s.port)) })
	s.serves(t, "first-key")
	got := get(t, s.port, "/nowhere")
	got.is(t, http.StatusNotFound, "route_not_found")
	if got.Gateway != "t/egress" {
		t.Errorf("gateway %q", got.Gateway)
	}
	if problems := s.problems(t); !strings.Contains(problems, "PortUnavailable") || !strings.Contains(problems, "Gateway/t/second") {
		t.Errorf("/problems: %s", problems)
	}
	s.reloads(t, func() { s.remove("gateway.yaml") }) // the second one takes the port over; the route is not its own
	got = get(t, s.port, "/api")
	got.is(t, http.StatusNotFound, "route_not_found")
	if got.Gateway != "t/second" {
		t.Errorf("gateway %q", got.Gateway)
	}
	s.ends(t)
}
