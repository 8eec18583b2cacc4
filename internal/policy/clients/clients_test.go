package clients

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/exchange"
)

var (
	nobody   = exchange.Client{Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown}
	loopback = exchange.Client{Namespace: "local", ServiceAccount: "local", Source: exchange.SourceLoopback}
	batch    = exchange.Client{Namespace: "ai", ServiceAccount: "batch", Source: exchange.SourcePodAddress}
	remote   = exchange.Client{Cluster: "edge", Namespace: "ai", ServiceAccount: "batch", Source: exchange.SourceToken}
	proved   = exchange.Client{Namespace: "ai", ServiceAccount: "batch", SPIFFE: "spiffe://x/ns/ai/sa/batch", Source: exchange.SourceSPIFFE, Certified: true}
	homeless = exchange.Client{Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown, SPIFFE: "spiffe://x/a", Source: exchange.SourceSPIFFE, Certified: true}
)

func TestNames(t *testing.T) {
	f := func(c exchange.Client, want bool, list ...Selector) {
		t.Helper()
		if got := List(list).Names(&c); got != want {
			t.Errorf("%+v names %s: %t", list, c, got)
		}
	}
	all := []string{"*"}
	f(batch, false)
	f(batch, false, Selector{})
	f(batch, true, Selector{Namespaces: all})
	f(batch, true, Selector{Namespaces: []string{"ai"}})
	f(batch, true, Selector{Namespaces: []string{"x", "ai"}})
	f(batch, false, Selector{Namespaces: []string{"AI"}})
	f(batch, false, Selector{Namespaces: []string{"ai"}, ServiceAccounts: []string{"web"}})
	f(batch, true, Selector{Namespaces: []string{"x"}}, Selector{ServiceAccounts: []string{"batch"}})
	f(batch, true, Selector{Namespaces: []string{"ai"}, ServiceAccounts: all})

	f(nobody, false, Selector{Namespaces: all})
	f(nobody, false, Selector{Clusters: all})
	f(nobody, false, Selector{Namespaces: []string{"unknown"}})

	f(loopback, false, Selector{Namespaces: all})
	f(loopback, false, Selector{ServiceAccounts: []string{"local"}})
	f(loopback, false, Selector{Clusters: all})
	f(loopback, true, Selector{Namespaces: []string{"local"}})
	f(loopback, true, Selector{Namespaces: []string{"local"}, ServiceAccounts: all})
	f(loopback, false, Selector{Namespaces: []string{"local"}, ServiceAccounts: []string{"x"}})
	f(loopback, false, Selector{Namespaces: []string{"local"}, SPIFFEIDs: all})

	f(batch, true, Selector{Clusters: all})
	f(batch, false, Selector{Clusters: []string{"edge"}})
	f(batch, false, Selector{Clusters: []string{""}})
	f(remote, true, Selector{Clusters: []string{"edge"}})
	f(remote, true, Selector{Namespaces: []string{"ai"}})
	f(remote, false, Selector{Clusters: []string{"core"}, Namespaces: []string{"ai"}})

	f(batch, false, Selector{SPIFFEIDs: all})
	f(proved, true, Selector{SPIFFEIDs: all})
	f(proved, true, Selector{SPIFFEIDs: []string{"spiffe://x/ns/ai/sa/batch"}})
	f(proved, false, Selector{SPIFFEIDs: []string{"spiffe://x/"}})
	f(proved, false, Selector{SPIFFEIDs: []string{"spiffe://x/ns/ai/sa/batch"}, Namespaces: []string{"web"}})
	f(proved, true, Selector{Namespaces: all})
	f(proved, true, Selector{Namespaces: []string{"ai"}, ServiceAccounts: []string{"batch"}})

	f(homeless, true, Selector{SPIFFEIDs: []string{"spiffe://x/a"}})
	f(homeless, true, Selector{SPIFFEIDs: all})
	f(homeless, false, Selector{Namespaces: all})
	f(homeless, false, Selector{Namespaces: []string{"unknown"}})
	f(homeless, false, Selector{SPIFFEIDs: all, ServiceAccounts: all})

	both := proved
	both.Source = exchange.SourceToken
	for _, c := range []struct {
		client      exchange.Client
		mtls, token bool
	}{{batch, false, false}, {loopback, false, false}, {remote, false, true}, {proved, true, false}, {both, true, true}} {
		own := []string{c.client.Namespace}
		f(c.client, true, Selector{Namespaces: own})
		f(c.client, c.mtls, Selector{Namespaces: own, Require: "MTLS"})
		f(c.client, c.token, Selector{Namespaces: own, Require: "Token"})
		f(c.client, false, Selector{Namespaces: own, Require: "Oath"})
		f(c.client, true, Selector{Namespaces: own, Require: "Oath"}, Selector{Namespaces: own})
	}
	f(homeless, true, Selector{SPIFFEIDs: all, Require: "MTLS"})
}

func TestNamesAllocates(t *testing.T) {
	list := List{{Namespaces: []string{"x"}}, {Namespaces: []string{"ai"}, ServiceAccounts: []string{"*"}}}
	if n := testing.AllocsPerRun(100, func() { list.Names(&batch) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTranslate(t *testing.T) {
	if Translate(nil) != nil {
		t.Error("nothing written is something")
	}
	got := Translate([]v1alpha1.ClientSelector{{
		Clusters: []v1alpha1.ClientName{"a"}, Namespaces: []v1alpha1.ClientName{"b"},
		ServiceAccounts: []v1alpha1.ServiceAccountName{"c"}, SPIFFEIDs: []v1alpha1.SPIFFEID{"d"}, Require: v1alpha1.ClientProofToken,
	}})
	want := List{{Clusters: []string{"a"}, Namespaces: []string{"b"}, ServiceAccounts: []string{"c"}, SPIFFEIDs: []string{"d"}, Require: "Token"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
