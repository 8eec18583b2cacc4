package dial

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Addresses are those that the target's backend has now: its own, else those of its name. A wildcard has none, and
// errors are of type *Error.
func (t *Target) Addresses(ctx context.Context) ([]netip.AddrPort, error) {
	if t.wild {
		return nil, nil
	}
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	list, failure := t.addresses(ctx, 0)
	if failure != nil {
		return nil, failure
	}
	return list, nil
}

// Probe makes a connection of its own to one address, for a check: TLS, verification and the Address and Handshake
// stages as for a request, in no pool, counted in no limit, and told of to no Health. h2 is whether TLS offers HTTP/2.
// The caller closes it. Errors are of type *Error.
func (t *Target) Probe(ctx context.Context, address netip.AddrPort, h2 bool) (*Conn, error) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	if refusal := t.admit(ctx, address.Addr()); refusal != nil {
		return nil, refused(refusal, address)
	}
	socket, err := t.dialer.net.DialTCP(ctx, "tcp", netip.AddrPort{}, address)
	if err != nil {
		return nil, &Error{Reason: exchange.ConnectFailed, Err: err, Address: address}
	}
	c, failure := t.establish(ctx, socket, address, h2)
	if failure != nil {
		return nil, failure
	}
	return c, nil
}

// HTTP2 begins to speak HTTP/2 on a probe's connection. Whoever closes the client closes the connection.
func (c *Conn) HTTP2(ctx context.Context, t *Target) (*http.ClientConn, error) {
	if c.tls != nil && c.state.NegotiatedProtocol != protocolH2 {
		return nil, errNotHTTP2
	}
	s, err := t.begin(ctx, c)
	if err != nil {
		_ = c.wire.Close()
		return nil, err
	}
	return s, nil
}
