package identify

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func fields(values ...string) *exchange.Header {
	h := &exchange.Header{}
	for _, v := range values {
		h.Add("Forwarded", v)
	}
	return h
}

func TestForwarded(t *testing.T) {
	f := func(want string, values ...string) {
		t.Helper()
		address, present := forwarded(fields(values...))
		got := ""
		if address.IsValid() {
			got = address.String()
		}
		if got != want || !present {
			t.Errorf("%q: %q (present: %t), want %q", values, got, present, want)
		}
	}
	// RFC 7239, section 4, and the forms of section 6.
	f("192.0.2.43", "for=192.0.2.43")
	f("192.0.2.60", "for=192.0.2.60;proto=http;by=203.0.113.43")
	f("198.51.100.17", "for=192.0.2.43, for=198.51.100.17")
	f("2001:db8:cafe::17", `For="[2001:db8:cafe::17]:4711"`)
	f("2001:db8:cafe::17", `for="[2001:db8:cafe::17]"`)
	f("192.0.2.43", `for="192.0.2.43:47011"`)
	f("192.0.2.43", `for="192.0.2.43:_a.-Z"`)
	f("192.0.2.43", `for="\192.0.2.4\3"`)
	f("192.0.2.43", `proto=https;host="a,b;for=10.0.0.1";for=192.0.2.43`)
	f("192.0.2.43", "for=_gazonk , \tfor=192.0.2.43 \t")
	f("192.0.2.43", ",,for=192.0.2.43")
	f("192.0.2.43", ";;for=192.0.2.43;")
	f("192.0.2.43", "for=192.0.2.43;ext=1")
	f("192.0.2.43", `for="[::ffff:192.0.2.43]"`)

	f("", "for=unknown")
	f("", `for="_gazonk"`)
	f("", "for=192.0.2.43, proto=http")
	f("", "for=192.0.2.43,")
	f("", "for=192.0.2.43, ;")
	f("", "for=192.0.2.43", "")
	f("", "for=192.0.2.43", "for=unknown")
	f("", "nonsense, for=192.0.2.43")
	f("", "for=192.0.2.43;for=192.0.2.44")
	f("", "for=192.0.2.43;FOR=192.0.2.44")
	f("", "for=192.0.2.43;a=1;A=2")
	f("", "for=192.0.2.43; proto=http") // no space within an element
	f("", "for = 192.0.2.43")
	f("", "for")
	f("", "for=")
	f("", `for=""`)
	f("", "for=192.0.2.43 x")
	f("", `for="192.0.2.43`)
	f("", `for="192.0.2.43\`)
	f("", `for="192.0.2.43"x`)
	f("", "for=\"192.0.2.43\x01\"")
	f("", "for=192.0.2.43:80") // a colon needs quotation marks
	f("", "for=[2001:db8::1]")
	f("", `for="2001:db8::1"`)
	f("", `for="[192.0.2.43]"`)
	f("", `for="[fe80::1%eth0]"`)
	f("", `for="[2001:db8::1"`)
	f("", `for="192.0.2.43:"`)
	f("", `for="192.0.2.43:123456"`)
	f("", `for="192.0.2.43:_"`)
	f("", `for="192.0.2.43:8a"`)
	f("", `for="[2001:db8::1]80"`)
	f("", "for=192.0.2.043")
	f("", "for=a.example")
	f("", `for="`+strings.Repeat(`\1`, 200)+`"`)

	// What one hop left open does not swallow the next one's.
	f("", `for="x, for=192.0.2.43`)
	f("", `for="x, for="[2001:db8::1]"`)
	f("", `for="`, "for=192.0.2.43")

	f("", strings.Repeat("for=10.0.0.1,", maxHops)+"for=192.0.2.43")
	f("", `for=10.0.0.1;x="`+strings.Repeat("a", maxForwarded)+`"`, "for=192.0.2.43")
	f("", "a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=1;for=192.0.2.43")
}

func TestForwardedIsAbsent(t *testing.T) {
	var h exchange.Header
	h.Add("X-Forwarded-For", "192.0.2.43")
	for _, header := range []*exchange.Header{nil, {}, &h} {
		if _, present := forwarded(header); present {
			t.Errorf("%+v has Forwarded", header)
		}
	}
}

// FuzzForwarded: whatever a client wrote, the address is the one that the peer appended, or none.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "for=10.0.0.1", `for="[::1]:80";by=_x, proto=https`, `for="\`, `a="b`, ",;=", `x="";y=`} {
		f.Add(seed, false, false)
		f.Add(seed, true, true)
	}
	peers := map[bool]string{false: "for=192.0.2.43", true: `by="[::2]:1";for="[2001:db8::7]:443"`}
	want := map[bool]netip.Addr{false: netip.MustParseAddr("192.0.2.43"), true: netip.MustParseAddr("2001:db8::7")}
	f.Fuzz(func(t *testing.T, told string, six, apart bool) {
		h := fields(told + ", " + peers[six])
		if apart {
			h = fields(told, peers[six])
		}
		address, present := forwarded(h)
		if !present || address.IsValid() && address != want[six] {
			t.Errorf("%q: %s", h.Fields(), address)
		}
		alone, _ := forwarded(fields(told))
		if alone.IsValid() && (alone.Zone() != "" || alone.Is4In6()) {
			t.Errorf("%q: %s", told, alone)
		}
	})
}
