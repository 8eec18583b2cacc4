package proxy

import (
	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/dial"
)

// tlsKey names an upstream TLS setting of a table: the plan's, by pointer, and the certificate of the Gateway that is
// presented with it.
type tlsKey struct {
	setting     *plan.TLS
	certificate string
}

type tlsResult struct {
	tls *dial.TLS
	err error
}

// upstreamTLS is how a candidate is verified through a Gateway, nil where it is reached in the clear. A setting of the
// chain is a policy's and wins over what the backend has by default; a policy on a backend that states its own TLS has
// lost its target and is in no chain. A setting that asks for the Gateway's certificate fails closed where that is broken,
// and where it must be presented and there is none.
func (b *builder) upstreamTLS(gateway string, c *candidate) (*dial.TLS, *exchange.Refusal, error) {
	key := tlsKey{setting: c.backend.TLS}
	if c.chain.Settings.TLS != nil {
		key.setting = c.chain.Settings.TLS
	}
	if key.setting == nil {
		return nil, nil, nil
	}
	setting := *key.setting
	if setting.GatewayCertificate && setting.ClientCertificate == "" {
		g := b.gatewayOf(gateway)
		switch {
		case g.ClientFault != nil:
			return nil, exchange.Refuse(exchange.BackendInvalid, g.ClientFault.Message), nil
		case g.ClientCertificate == "" && setting.Mutual:
			return nil, exchange.Refuse(exchange.BackendInvalid, "the backend "+c.backend.Name+" is to be shown the certificate of Gateway "+gateway+
				", which has none: spec.tls.backend.clientCertificateRef"), nil
		}
		key.certificate, setting.ClientCertificate = g.ClientCertificate, g.ClientCertificate
	}
	if r, ok := b.tls[key]; ok {
		return r.tls, nil, r.err
	}
	made, err := dial.NewTLS(&setting, b.secret)
	b.tls[key] = tlsResult{made, err}
	return made, nil, err
}

func (b *builder) gatewayOf(name string) *plan.Gateway {
	for _, g := range b.plan.Gateways {
		if g.Name == name {
			return g
		}
	}
	return &plan.Gateway{Name: name}
}
