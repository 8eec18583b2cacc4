package observe

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
)

func TestHealth(t *testing.T) {
	o := newObserver(t, Config{})
	var notReady error
	h := o.Health(func() error { return notReady })
	f := func(path string, status int, text string) {
		t.Helper()
		if w := get(t, h, path); w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("%s: %d %s, want %d %s", path, w.Code, w.Body, status, text)
		}
	}
	notReady = errors.New("no complete plan yet")
	f("/readyz", 503, "no complete plan yet")
	f("/healthz", 200, "ok")
	notReady = nil
	f("/readyz", 200, "ready")
	notReady = errors.New("draining")
	f("/readyz", 503, "draining")
	f("/config_dump", 404, "")
	f("/debug/pprof/", 404, "")
	if w := get(t, o.Health(nil), "/readyz"); w.Code != 503 {
		t.Errorf("ready with nobody to tell: %d", w.Code)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/healthz", nil))
	if w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestAdminShowsPlanWithoutSecrets(t *testing.T) {
	o := newObserver(t, Config{})
	h := o.Admin(AdminConfig{
		Plan: func() *plan.Plan {
			return &plan.Plan{Secrets: []*plan.Secret{{
				Name: "Secret/ai/key", Data: map[string]plan.Sensitive{"token": plan.NewSensitive([]byte("hunter2"))},
			}}}
		},
		Problems: func() []problem.Problem { return []problem.Problem{{Object: "Backend/ai/x", Reason: "Invalid"}} },
	})
	w := get(t, h, "/config_dump")
	if w.Code != 200 || strings.Contains(w.Body.String(), "hunter2") || strings.Contains(w.Body.String(), "aHVudGVyMg") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	var page struct {
		Plan     struct{ Secrets []struct{ Name string } }
		Problems []problem.Problem
	}
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || page.Plan.Secrets[0].Name != "Secret/ai/key" || len(page.Problems) != 1 {
		t.Errorf("%v in %s", err, w.Body)
	}
	if w := get(t, h, "/problems"); !strings.Contains(w.Body.String(), "Backend/ai/x") {
		t.Errorf("problems: %s", w.Body)
	}
	if w := get(t, o.Admin(AdminConfig{}), "/config_dump"); w.Code != 200 || !strings.Contains(w.Body.String(), `"plan": null`) {
		t.Errorf("before the first plan: %d %s", w.Code, w.Body)
	}
	broken := o.Admin(AdminConfig{Plan: func() *plan.Plan { return &plan.Plan{Policies: []*plan.Policy{{Config: make(chan int)}}} }})
	if w := get(t, broken, "/config_dump"); w.Code != 500 {
		t.Errorf("a plan that does not encode: %d", w.Code)
	}
}

func TestAdminPprofIsBehindAFlag(t *testing.T) {
	o := newObserver(t, Config{})
	for _, on := range []bool{false, true} {
		want := map[bool]int{false: 404, true: 200}[on]
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/heap"} {
			if w := get(t, o.Admin(AdminConfig{Pprof: on}), path); w.Code != want {
				t.Errorf("pprof %v: %s answers %d", on, path, w.Code)
			}
		}
	}
}

func TestAdminRefusesWebPages(t *testing.T) {
	h := newObserver(t, Config{}).Admin(AdminConfig{})
	f := func(status int, host string, header ...string) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/problems", nil)
		r.Host = host
		for i := 0; i < len(header); i += 2 {
			r.Header.Add(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("Host %q %q: %d, want %d", host, header, w.Code, status)
		}
	}
	for _, host := range []string{"localhost", "LOCALHOST:9901", "127.0.0.1", "127.8.0.1:9901", "[::1]", "[::1]:9901", "[::ffff:127.0.0.1]:9901"} {
		f(200, host)
	}
	for _, host := range []string{
		"", "evil.test", "evil.test:9901", "localhost.evil.test", "127.0.0.1.evil.test:80", "10.0.0.1:9901", "0.0.0.0", "[::]:9901", "localhost.", "a:b:c",
	} {
		f(403, host)
	}
	f(403, "localhost", "Origin", "http://localhost:9901")
	f(403, "localhost", "Origin", "")
	f(403, "localhost", "Origin", "null")
	f(403, "localhost", "Sec-Fetch-Site", "cross-site")
	f(200, "localhost", "Sec-Fetch-Site", "none")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/problems", nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}
