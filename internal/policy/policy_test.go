package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type bounds struct{ Low, High time.Duration }

type sample struct {
	Name   string   `policy:"setting"`
	List   []string `policy:"setting"`
	Bounds bounds   `policy:"setting"`
	Deny   []string `policy:"restriction"`
}

func TestMerge(t *testing.T) {
	f := func(want sample, configs ...any) {
		t.Helper()
		if diff := cmp.Diff(&want, Merge(&sample{}, configs...)); diff != "" {
			t.Error(diff)
		}
	}
	f(sample{})
	f(sample{Name: "b"}, &sample{Name: "a"}, &sample{Name: "b"})
	f(sample{Name: "a"}, &sample{Name: "a"}, &sample{})
	f(sample{List: []string{}}, &sample{List: []string{"x"}}, &sample{List: []string{}})
	f(sample{Bounds: bounds{1, 3}}, &sample{Bounds: bounds{1, 2}}, &sample{Bounds: bounds{High: 3}})
	f(sample{}, &sample{Deny: []string{"x"}})
}

func TestCheckConfig(t *testing.T) {
	if err := CheckConfig(&sample{}); err != nil {
		t.Error(err)
	}
	if CheckConfig(&struct{ X int }{}) == nil || CheckConfig(sample{}) == nil {
		t.Error("a field without its tag, or no pointer, passed")
	}
}

func TestClassify(t *testing.T) {
	f := func(address string, want AddressClass) {
		t.Helper()
		if got := Classify(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
	f("1.1.1.1", AddressPublic)
	f("2606:4700::1", AddressPublic)
	f("10.0.0.1", AddressPrivate)
	f("100.64.0.1", AddressPrivate)
	f("fd12::1", AddressPrivate)
	f("127.0.0.1", AddressLoopback)
	f("127.9.9.9", AddressLoopback)
	f("::1", AddressLoopback)
	f("::ffff:127.0.0.1", AddressLoopback)
	f("64:ff9b::7f00:1", AddressLoopback)
	f("2002:7f00:1::", AddressLoopback)
	f("64:ff9b::a9fe:a9fe", AddressMetadata)
	f("::ffff:169.254.169.254", AddressMetadata)
	f("169.254.169.254", AddressMetadata)
	f("100.100.100.200", AddressMetadata)
	f("fd00:ec2::254", AddressMetadata)
	f("169.254.1.1", AddressLinkLocal)
	f("fe80::1%eth0", AddressLinkLocal)
	f("0.0.0.0", AddressSpecial)
	f("::", AddressSpecial)
	f("::127.0.0.1", AddressSpecial)
	f("224.0.0.1", AddressSpecial)
	f("255.255.255.255", AddressSpecial)
	f("64:ff9b:1::1", AddressSpecial)
}
