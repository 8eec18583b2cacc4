package identify

import (
	"net/netip"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// BenchmarkIdentify names clients by what costs nothing to verify: an address, and a SPIFFE id that the handshake verified.
func BenchmarkIdentify(b *testing.B) {
	id, err := New(mesh(), false, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]Connection{
		"by range":    {Address: netip.MustParseAddrPort("10.1.0.1:1")},
		"by loopback": {Address: netip.MustParseAddrPort("127.0.0.1:1")},
		"by SPIFFE":   {Address: netip.MustParseAddrPort("192.0.2.1:1"), SPIFFE: "spiffe://cluster.local/ns/ai/sa/batch"},
	} {
		b.Run(name, func(b *testing.B) {
			var h exchange.Header
			h.Add("Authorization", "Bearer x")
			b.ReportAllocs()
			for b.Loop() {
				if client, _, err := id.Identify(c, &h); err != nil || !client.Known() {
					b.Fatal(client, err)
				}
			}
		})
	}
}
