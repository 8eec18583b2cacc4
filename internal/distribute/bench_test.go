package distribute

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// BenchmarkChange is a changed weight among 5,000 rules, from Publish to the plan that the proxy has: all but the wire.
func BenchmarkChange(b *testing.B) {
	s := &Server{config: ServerConfig{Changed: func(string) {}}, published: make(chan struct{}), newest: map[string]*generation{}}
	h := newHolding(configs)
	st := &stream{key: rawKey, have: map[string]string{}, secrets: map[string]keyed{}}
	base := configured(5000)
	turn := func(weight int) {
		if err := s.Publish(reweighed(base, 7, weight)); err != nil {
			b.Fatal(err)
		}
		newest, _ := s.current("a/gw")
		err := newest.messages(st.have, st.version, func(m *discoveryv3.DeltaDiscoveryResponse) error {
			end, err := h.add(m)
			if err == nil && end != nil {
				_, _, err = h.finish(end)
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	turn(1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		turn(i)
	}
}
