package dns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/ranges"
)

type refs struct {
	policy.References
	kubernetes bool
	invalid    []string
	warned     []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }
func (r *refs) Warn(field, message, mend string) {
	r.warned = append(r.warned, field+": "+message+" ("+mend+")")
}
func (r *refs) Standalone() bool { return !r.kubernetes }

func list(words string) ranges.List {
	var l ranges.List
	for _, w := range strings.Fields(words) {
		l = append(l, netip.MustParsePrefix(w))
	}
	return l
}

func check(origin plan.Origin, address string, settings *policy.Settings) *policy.AddressCheck {
	a := netip.MustParseAddr(address).Unmap()
	return &policy.AddressCheck{
		Backend: &plan.Backend{Origin: origin}, Hostname: "a.test", Address: a, Class: policy.Classify(a), Settings: settings,
	}
}

// where is the side of the fence that an address is judged on.
type where struct{ kubernetes, guarded bool }

func TestAddress(t *testing.T) {
	all := []where{{false, false}, {false, true}, {true, false}, {true, true}}
	f := func(origin plan.Origin, open, address string, passes ...where) {
		t.Helper()
		for _, w := range all {
			s, err := apply(policy.Env{Kubernetes: w.kubernetes}, &Config{AllowPrivate: list(open)})
			if err != nil {
				t.Fatal(err)
			}
			r := s.(policy.AddressStage).Address(t.Context(), check(origin, address, &policy.Settings{Guarded: w.guarded}))
			want := false
			for _, p := range passes {
				want = want || p == w
			}
			if (r == nil) != want {
				t.Errorf("%s of %s, opened %q, %+v: %v", address, origin, open, w, r)
			}
			if r != nil && (r.Reason != exchange.AddressDenied || r.Field != "spec.addresses.allowPrivate" ||
				strings.Contains(r.Detail, address) || !strings.Contains(r.Detail, "a.test") || r.Log == "") {
				t.Errorf("refusal %+v", r)
			}
		}
	}
	standalone, guardedStandalone, guardedKubernetes := where{false, false}, where{false, true}, where{true, true}

	f(plan.Resolved, "", "1.1.1.1", all...)
	for _, private := range []string{"10.8.1.1", "100.64.0.1", "::ffff:10.8.1.1", "64:ff9b::a08:101", "fd00::1"} {
		f(plan.Resolved, "", private)
		f(plan.Resolved, "10.8.0.0/16 100.64.0.0/10 fd00::/8", private, standalone, guardedStandalone, guardedKubernetes)
		f(plan.Resolved, "10.9.0.0/16", private)
		f(plan.Literal, "", private, standalone, guardedStandalone, guardedKubernetes)
		f(plan.Endpoints, "", private, standalone, guardedStandalone, guardedKubernetes)
	}
	for _, loopback := range []string{"127.0.0.1", "::1", "64:ff9b::7f00:1"} {
		f(plan.Resolved, "", loopback)
		f(plan.Resolved, "127.0.0.0/8 ::1/128", loopback, standalone, guardedStandalone)
		f(plan.Literal, "", loopback, standalone, guardedStandalone)
		f(plan.Endpoints, "", loopback, standalone, guardedStandalone)
	}
	const wide = "0.0.0.0/0 ::/0"
	for _, origin := range []plan.Origin{plan.Resolved, plan.Literal, plan.Endpoints} {
		f(origin, wide, "169.254.1.1")
		f(origin, wide, "fe80::1")
		f(origin, wide, "224.0.0.1")
		f(origin, wide, "0.0.0.0")
	}
	f(plan.Resolved, wide, "169.254.169.254", guardedStandalone, guardedKubernetes)
	f(plan.Literal, wide, "169.254.169.254", guardedStandalone, guardedKubernetes)
	f(plan.Endpoints, wide, "169.254.169.254")
	f("Elsewhere", wide, "10.0.0.1")
}

func TestAddressWithoutSettings(t *testing.T) {
	s, err := apply(policy.Env{}, &Config{AllowPrivate: list("10.0.0.0/8")})
	if err != nil {
		t.Fatal(err)
	}
	if s.(policy.AddressStage).Address(t.Context(), check(plan.Literal, "10.0.0.1", nil)) == nil {
		t.Error("passed")
	}
	if s.(policy.AddressStage).Address(t.Context(), check(plan.Literal, "1.1.1.1", nil)) != nil {
		t.Error("a public address was refused")
	}
}

func TestDeny(t *testing.T) {
	s, err := restrict(policy.Env{}, &Config{Deny: list("203.0.113.0/24 1.1.1.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	f := func(address string, denied bool) {
		t.Helper()
		r := s.(policy.AddressStage).Address(t.Context(), check(plan.Resolved, address, nil))
		if (r != nil) != denied || denied && r.Field != "spec.addresses.deny" {
			t.Errorf("%s: %+v", address, r)
		}
	}
	f("1.1.1.1", true)
	f("64:ff9b::101:101", true)
	f("1.1.2.1", false)
	if s, err := restrict(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestTune(t *testing.T) {
	kind := Kind()
	d := func(d time.Duration) *time.Duration { return &d }
	f := func(change func(*policy.DNS), configs ...any) {
		t.Helper()
		got, want := policy.NewSettings(), policy.NewSettings()
		change(&want.DNS)
		stage, err := kind.Apply(policy.Env{}, policy.Merge(kind.Config(), configs...))
		if err != nil {
			t.Fatal(err)
		}
		stage.(policy.Tuner).Tune(&got)
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
	}
	server := netip.MustParseAddrPort("9.9.9.9:53")
	pinned := map[string][]netip.Addr{"a.test": {netip.MustParseAddr("192.0.2.1")}}
	f(func(*policy.DNS) {})
	f(func(d *policy.DNS) {
		d.Resolvers, d.Hosts, d.Family = []policy.Resolver{{Address: server, TCP: true}}, pinned, policy.FamilyIPv6
	}, &Config{Resolvers: []Resolver{{server, "TCP"}}, Hosts: pinned, Family: "IPv6"})
	f(func(d *policy.DNS) { d.Resolvers = []policy.Resolver{{Address: server}} }, &Config{Resolvers: []Resolver{{server, "UDP"}}})
	f(func(d *policy.DNS) { d.Hosts = map[string][]netip.Addr{} }, &Config{Hosts: pinned, Family: "IPv4"},
		&Config{Hosts: map[string][]netip.Addr{}, Family: "Auto"})
	f(func(d *policy.DNS) { d.Negative, d.ServeStale = time.Second, 0 }, &Config{TTL: TTL{Negative: d(time.Second), ServeStale: d(0)}})
	f(func(d *policy.DNS) { d.MinTTL, d.MaxTTL = time.Second, time.Second }, &Config{TTL: TTL{Max: d(time.Second)}})
	f(func(d *policy.DNS) { d.MinTTL, d.MaxTTL = time.Hour, time.Hour }, &Config{TTL: TTL{Min: d(time.Hour)}})
	f(func(d *policy.DNS) { d.MinTTL, d.MaxTTL = time.Minute, time.Minute }, &Config{TTL: TTL{Min: d(time.Hour)}}, &Config{TTL: TTL{Max: d(time.Minute)}})
}

func TestEffective(t *testing.T) {
	literal, resolved := &plan.Backend{Origin: plan.Literal}, &plan.Backend{Origin: plan.Resolved}
	f := func(c *Config, target *plan.Backend, want bool) {
		t.Helper()
		if why := effective(c, target); (why == "") != want {
			t.Errorf("%+v: %q", c, why)
		}
	}
	f(&Config{Resolvers: []Resolver{{}}}, literal, false)
	f(&Config{Resolvers: []Resolver{{}}}, resolved, true)
	f(&Config{Resolvers: []Resolver{{}}}, nil, true)
	f(&Config{Hosts: map[string][]netip.Addr{}, Deny: list("1.1.1.1/32")}, literal, true)
	f(&Config{}, resolved, false)
}

func TestTranslate(t *testing.T) {
	r := &refs{}
	family := v1alpha1.AddressFamilyIPv4
	got := translate(r, &v1alpha1.DNSPolicy{Spec: v1alpha1.DNSPolicySpec{
		Resolvers: []v1alpha1.Resolver{{Address: "9.9.9.9:53", Protocol: "UDP"}, {Address: "[1.2.3.4]:53"}},
		Hosts: []v1alpha1.HostAddresses{
			{Hostname: "API.vendor.test", Addresses: []v1alpha1.IPAddress{"192.0.2.10", "::ffff:192.0.2.11"}},
			{Hostname: "b.test", Addresses: []v1alpha1.IPAddress{"fe80::1%eth0"}},
		},
		TTL:       &v1alpha1.TTLBounds{ServeStale: new(gwapiv1.Duration("0s"))},
		Family:    &family,
		Addresses: &v1alpha1.AddressRules{AllowPrivate: []v1alpha1.CIDR{}, Deny: []v1alpha1.CIDR{"203.0.113.0/24"}},
	}})
	want := &Config{
		Resolvers: []Resolver{{netip.MustParseAddrPort("9.9.9.9:53"), "UDP"}},
		Hosts:     map[string][]netip.Addr{"api.vendor.test": {netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.11")}},
		TTL:       TTL{ServeStale: new(time.Duration(0))}, Family: "IPv4",
		AllowPrivate: ranges.List{}, Deny: list("203.0.113.0/24"),
	}
	equal := cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"spec.resolvers[1].address", "spec.hosts[1].addresses"}, r.invalid); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(new(Config), translate(r, &v1alpha1.DNSPolicy{})); diff != "" {
		t.Error(diff)
	}
}

func TestClosedHosts(t *testing.T) {
	f := func(kubernetes bool, allow []v1alpha1.CIDR, address v1alpha1.IPAddress, want ...string) {
		t.Helper()
		r := &refs{kubernetes: kubernetes}
		translate(r, &v1alpha1.DNSPolicy{Spec: v1alpha1.DNSPolicySpec{
			Hosts:     []v1alpha1.HostAddresses{{Hostname: "a.test", Addresses: []v1alpha1.IPAddress{"1.1.1.1", address}}},
			Addresses: &v1alpha1.AddressRules{AllowPrivate: allow},
		}})
		if diff := cmp.Diff(want, r.warned); diff != "" {
			t.Errorf("%s: %s", address, diff)
		}
	}
	const rest = " address is refused (address_denied) unless a DNSPolicy opens it (add it to spec.addresses.allowPrivate, such as "
	f(false, nil, "127.0.0.1", "spec.hosts[0].addresses[1]: a loopback"+rest+"127.0.0.1/32)")
	f(false, []v1alpha1.CIDR{"10.9.0.0/16"}, "10.8.0.1", "spec.hosts[0].addresses[1]: a private"+rest+"10.8.0.1/32)")
	f(false, []v1alpha1.CIDR{}, "fd00::1", "spec.hosts[0].addresses[1]: a private"+rest+"fd00::1/128)")
	f(false, []v1alpha1.CIDR{"10.8.0.0/16"}, "10.8.0.1")
	f(false, nil, "9.9.9.9")
	f(true, nil, "10.8.0.1")
}
