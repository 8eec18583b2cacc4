package testkit

import (
	"net"
	"testing"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/testkit/dnsserver"
	"github.com/ebbgate/ebbgate/internal/testkit/grpcecho"
	"github.com/ebbgate/ebbgate/internal/testkit/provider"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFarSidesLiveAsLongAsTheirTest(t *testing.T) {
	var addresses []string
	reachable := func() (n int) {
		for _, address := range addresses {
			if c, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
				n++
				_ = c.Close()
			}
		}
		return n
	}
	t.Run("inside", func(t *testing.T) {
		certificate := Loopback(t, CA(t, "root"), "a.example")
		addresses = []string{
			Upstream(t, upstream.Config{Certificate: certificate}).Addr(),
			Fault(t, upstream.FaultConfig{Kind: upstream.Silent}).Addr(),
			HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: upstream.Deaf}).Addr(),
			GRPC(t, grpcecho.Config{}).Addr(),
			Provider(t, provider.Config{Kind: provider.OpenAI, Key: "key", Certificate: certificate}).Addr(),
			DNS(t, dnsserver.Config{}).Addr(),
		}
		if n := reachable(); n != len(addresses) {
			t.Errorf("%d of %d listen", n, len(addresses))
		}
	})
	if n := reachable(); n != 0 {
		t.Errorf("%d still listen", n)
	}
}
