package guardrails

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

func build(t *testing.T, kubernetes bool, c *Config) *stage {
	t.Helper()
	s, err := restrict(policy.Env{Kubernetes: kubernetes}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*stage)
}

// field is what refused, empty where nothing did.
func field(t *testing.T, r *exchange.Refusal, reason exchange.Reason) string {
	t.Helper()
	if r == nil {
		return ""
	}
	if r.Reason != reason || r.Detail == "" {
		t.Errorf("reason %s, detail %q", r.Reason, r.Detail)
	}
	return r.Field
}

func TestRequest(t *testing.T) {
	s := build(t, false, &Config{AllowHosts: []string{"ok.test"}, DenyHosts: []string{"*.evil.test", "bad.test"}})
	f := func(authority string, denied bool) {
		t.Helper()
		x := &exchange.Exchange{Request: exchange.Request{Authority: authority}}
		if got := field(t, s.Request(t.Context(), x), exchange.HostDenied) == "spec.hosts.deny"; got != denied {
			t.Errorf("%q denied: %t", authority, got)
		}
	}
	f("gateway.svc:8080", false)
	f("BAD.test", true)
	f("bad.test.:443", true)
	f("a.b.EVIL.test:443", true)
	f("evil.test", false)
	f("b%61d.test", true)
	f("", false)
	f("[::1]:80", false)
}

func TestRequestLimits(t *testing.T) {
	f := func(c *Config, length int64, header, want string, limit int64) {
		t.Helper()
		s := build(t, false, c)
		s.policy = "GuardRailsPolicy/t/own"
		x := &exchange.Exchange{Request: exchange.Request{Length: length, Body: strings.NewReader("")}}
		x.Request.Limit = exchange.BodyLimit{Bytes: 50, Policy: "GuardRailsPolicy/t/other"}
		x.Request.Header.Add("X", header)
		reason := exchange.BodyTooLarge
		if want == "spec.limits.headerBytes" {
			reason = exchange.HeadTooLarge
		}
		if got := field(t, s.Request(t.Context(), x), reason); got != want {
			t.Errorf("%+v, body of %d, field of %d: %q", *c, length, len(header), got)
		}
		if got := x.Request.Limit; got.Bytes != limit || (limit == 50) != (got.Policy == "GuardRailsPolicy/t/other") {
			t.Errorf("%+v: the limit is %+v", *c, got)
		}
	}
	const body, head = "spec.limits.requestBody", "spec.limits.headerBytes"
	f(&Config{}, 1000, "", "", 50)
	f(&Config{RequestBody: 10}, 10, "", "", 10)
	f(&Config{RequestBody: 10}, 11, "", body, 50)
	f(&Config{RequestBody: 10}, exchange.LengthUnknown, "", "", 10)
	f(&Config{RequestBody: 100}, 60, "", "", 50)
	f(&Config{RequestBody: 10, Mode: "Report"}, 11, "", body, 50)
	f(&Config{RequestBody: 10, Mode: "Report"}, exchange.LengthUnknown, "", "", 50)
	f(&Config{HeaderBytes: 100}, 0, strings.Repeat("x", 95), "", 50)
	f(&Config{HeaderBytes: 100}, 0, strings.Repeat("x", 96), head, 50)
}

func TestCandidate(t *testing.T) {
	f := func(allow, deny string, hostname, host, want string) {
		t.Helper()
		s := build(t, false, &Config{AllowHosts: strings.Fields(allow), DenyHosts: strings.Fields(deny)})
		r := s.Candidate(t.Context(), &exchange.Exchange{}, &policy.Candidate{Hostname: hostname, Host: host})
		if got := field(t, r, exchange.HostDenied); got != want {
			t.Errorf("allow %q deny %q on %q, %q: %q", allow, deny, hostname, host, got)
		}
	}
	const allowed, denied = "spec.hosts.allow", "spec.hosts.deny"
	f("", "", "a.test", "a.test", "")
	f("", "*.test", "a.test", "", denied)
	f("", "*.test", "", "a.test", denied)
	f("", "*.test", "test", "test", "")
	f("", "*.test", "", "", "")
	f("a.test", "", "a.test", "a.test", "")
	f("a.test", "", "a.test", "b.test", allowed)
	f("a.test", "", "b.test", "a.test", allowed)
	f("a.test", "", "", "A.test.", "")
	f("a.test", "", "a.test", "", "")
	f("a.test", "", "", "", allowed)
	f("a.test", "", "", "10.0.0.1", allowed)
	f("*.test", "", "a.b.test", "a.b.test", "")
	f("*.test", "", "test", "test", allowed)
	f("*.test", "a.test", "a.test", "a.test", denied)
}

func TestCandidateJudgesTheServerName(t *testing.T) {
	s := build(t, false, &Config{DenyHosts: []string{"*.test"}})
	f := func(own, policys, want string) {
		t.Helper()
		c := &policy.Candidate{Hostname: "a.example", Host: "a.example", Backend: &plan.Backend{}, Settings: &policy.Settings{}}
		if own != "" {
			c.Backend.TLS = &plan.TLS{Hostname: own}
		}
		if policys != "" {
			c.Settings.TLS = &plan.TLS{Hostname: policys}
		}
		if got := field(t, s.Candidate(t.Context(), &exchange.Exchange{}, c), exchange.HostDenied); got != want {
			t.Errorf("%q, %q: %q", own, policys, got)
		}
	}
	f("", "", "")
	f("front.test", "", "spec.hosts.deny")
	f("", "front.test", "spec.hosts.deny")
	f("a.example", "front.test", "spec.hosts.deny")
	f("front.test", "a.example", "")
}

func prefixes(words string) ranges.List {
	var l ranges.List
	for _, w := range strings.Fields(words) {
		l = append(l, netip.MustParsePrefix(w))
	}
	return l
}

func TestAddress(t *testing.T) {
	f := func(kubernetes bool, origin plan.Origin, open, deny, address, want string) {
		t.Helper()
		s := build(t, kubernetes, &Config{AllowPrivate: prefixes(open), DenyRanges: prefixes(deny)})
		a := netip.MustParseAddr(address).Unmap()
		r := s.Address(t.Context(), &policy.AddressCheck{
			Backend: &plan.Backend{Origin: origin}, Hostname: "a.test", Address: a, Class: policy.Classify(a),
		})
		if got := field(t, r, exchange.AddressDenied); got != want {
			t.Errorf("kubernetes %t, %s, open %q, deny %q: %s: %q", kubernetes, origin, open, deny, address, got)
		}
		if r != nil && (strings.Contains(r.Detail, address) || !strings.Contains(r.Log, a.String())) {
			t.Errorf("detail %q, log %q", r.Detail, r.Log)
		}
	}
	const closed, denied = "spec.addresses.allowPrivate", "spec.addresses.deny"
	for _, origin := range []plan.Origin{plan.Resolved, plan.Literal} {
		for _, kubernetes := range []bool{false, true} {
			f(kubernetes, origin, "", "", "1.1.1.1", "")
			f(kubernetes, origin, "", "1.1.1.0/24", "1.1.1.1", denied)
			f(kubernetes, origin, "", "1.1.1.0/24", "64:ff9b::101:101", denied)
			f(kubernetes, origin, "10.0.0.0/8", "10.1.0.0/16", "10.1.0.1", denied)
			f(kubernetes, origin, "", "", "10.1.0.1", closed)
			f(kubernetes, origin, "10.0.0.0/8", "", "10.1.0.1", "")
			f(kubernetes, origin, "10.0.0.0/8", "", "64:ff9b::a01:1", "")
			f(kubernetes, origin, "64:ff9b::/96", "", "64:ff9b::a01:1", closed)
			f(kubernetes, origin, "169.254.0.0/16", "", "169.254.1.1", closed)
			f(kubernetes, origin, "169.254.0.0/16", "", "169.254.169.254", closed)
			f(kubernetes, origin, "169.254.169.254/32", "", "169.254.169.254", "")
			f(kubernetes, origin, "100.64.0.0/10", "", "100.100.100.200", closed)
			f(kubernetes, origin, "0.0.0.0/0", "", "224.0.0.1", closed)
		}
		f(false, origin, "", "", "127.0.0.1", closed)
		f(false, origin, "127.0.0.0/8", "", "127.0.0.1", "")
		f(true, origin, "127.0.0.0/8", "", "127.0.0.1", closed)
		f(true, origin, "::1/128", "", "::1", closed)
	}
	f(false, plan.Endpoints, "", "", "10.0.0.1", "")
	f(false, plan.Endpoints, "", "", "127.0.0.1", "")
	f(false, plan.Endpoints, "", "10.0.0.0/8", "10.0.0.1", denied)
	f(false, plan.Endpoints, "169.254.169.254/32", "", "169.254.169.254", closed)
	f(true, plan.Endpoints, "", "", "10.0.0.1", closed)
	f(true, plan.Endpoints, "10.0.0.0/8", "", "10.0.0.1", "")
	f(true, plan.Endpoints, "127.0.0.0/8", "", "127.0.0.1", closed)
}

func TestTune(t *testing.T) {
	f := func(mode string, want bool) {
		t.Helper()
		var settings policy.Settings
		build(t, false, &Config{Mode: mode}).Tune(&settings)
		if settings.Guarded != want {
			t.Errorf("mode %q: guarded %t", mode, settings.Guarded)
		}
	}
	f("", true)
	f("Enforce", true)
	f("Report", false)
}

func TestRestrictRefuses(t *testing.T) {
	if _, err := restrict(policy.Env{}, &Config{DenyHosts: []string{"*"}}); err == nil {
		t.Error("a pattern that denies nothing passed")
	}
}

func TestLongHostIsBounded(t *testing.T) {
	s := build(t, false, &Config{DenyHosts: []string{"*.test"}})
	x := &exchange.Exchange{Request: exchange.Request{Authority: strings.Repeat("a", 5000) + ".test"}}
	if r := s.Request(t.Context(), x); r == nil || len(r.Detail) > 300 {
		t.Errorf("refusal %v", r)
	}
}

func TestAllocations(t *testing.T) {
	s := build(t, false, &Config{AllowHosts: []string{"*.test"}, DenyHosts: []string{"b.test"}, AllowPrivate: prefixes("10.0.0.0/8")})
	x, c := &exchange.Exchange{Request: exchange.Request{Authority: "gw:80"}}, &policy.Candidate{Hostname: "a.test", Host: "a.test"}
	check := &policy.AddressCheck{Backend: &plan.Backend{}, Address: netip.MustParseAddr("10.0.0.1"), Class: policy.AddressPrivate}
	n := testing.AllocsPerRun(100, func() {
		if s.Request(t.Context(), x) != nil || s.Candidate(t.Context(), x, c) != nil || s.Address(t.Context(), check) != nil {
			t.Error("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
