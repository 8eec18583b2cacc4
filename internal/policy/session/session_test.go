package session

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
)

func TestTranslate(t *testing.T) {
	f := func(written *gwapiv1.SessionPersistence, want *plan.Session, refused ...string) {
		t.Helper()
		var fields []string
		got := Translate(func(field, message, mend string) {
			if message == "" || mend == "" {
				t.Errorf("%s: %q (%q)", field, message, mend)
			}
			fields = append(fields, field)
		}, "f", "X/ai/a", written)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(refused, fields); diff != "" {
			t.Error(diff)
		}
	}
	type session = gwapiv1.SessionPersistence
	kind := func(k gwapiv1.SessionPersistenceType) *gwapiv1.SessionPersistenceType { return &k }
	lasts := func(l gwapiv1.CookieLifetimeType) *gwapiv1.CookieConfig {
		return &gwapiv1.CookieConfig{LifetimeType: &l}
	}
	d := func(text gwapiv1.Duration) *gwapiv1.Duration { return &text }
	cookie := func(name string) *plan.Session { return &plan.Session{Type: plan.SessionCookie, Name: name} }
	f(nil, nil)
	unnamed := cookie(defaultName("X/ai/a"))
	f(&session{}, unnamed)
	f(&session{SessionName: new(""), CookieConfig: &gwapiv1.CookieConfig{}}, unnamed)
	f(&session{SessionName: new("s"), Type: kind("Cookie"), CookieConfig: lasts("Session"), AbsoluteTimeout: d("0s")}, cookie("s"))
	f(&session{SessionName: new("s"), CookieConfig: lasts("Permanent"), AbsoluteTimeout: d("24h")},
		&plan.Session{Type: plan.SessionCookie, Name: "s", Permanent: true, Absolute: 24 * time.Hour})
	f(&session{SessionName: new("X-Session"), Type: kind("Header"), AbsoluteTimeout: d("1h")},
		&plan.Session{Type: plan.SessionHeader, Name: "X-Session", Absolute: time.Hour})
	f(&session{SessionName: new("s"), CookieConfig: lasts("Permanent")}, &plan.Session{Type: plan.SessionCookie, Name: "s", Permanent: true}, "f.absoluteTimeout")
	f(&session{SessionName: new("s"), CookieConfig: lasts("Other")}, cookie("s"), "f.cookieConfig.lifetimeType")
	f(&session{SessionName: new("s"), Type: kind("Header"), CookieConfig: lasts("Session")}, &plan.Session{Type: plan.SessionHeader, Name: "s"}, "f.cookieConfig")
	f(&session{SessionName: new("a b")}, cookie("a b"), "f.sessionName")
	f(&session{SessionName: new("Connection"), Type: kind("Header")}, &plan.Session{Type: plan.SessionHeader, Name: "Connection"}, "f.sessionName")
	f(&session{SessionName: new("Connection")}, cookie("Connection"))
	f(&session{SessionName: new("s"), AbsoluteTimeout: d("-1s")}, cookie("s"), "f.absoluteTimeout")
	f(&session{SessionName: new("s"), Type: kind("Query")}, &plan.Session{Type: "Query", Name: "s"}, "f.type")
}

func TestDefaultNamesDiffer(t *testing.T) {
	if a, b := defaultName("X/ai/a"), defaultName("X/ai/b"); a == b || a != defaultName("X/ai/a") {
		t.Errorf("%s and %s", a, b)
	}
}
