package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/resolve"
)

// connect makes a new connection within the connect timeout: name, TCP, TLS and the Handshake stages. h2 is whether TLS
// offers HTTP/2.
func (t *Target) connect(ctx context.Context, turn int, h2 bool) (*Conn, *Error) {
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	list, failure := t.near().addresses(ctx, turn)
	if failure != nil {
		return nil, failure
	}
	list = t.near().ordered(list)
	for range maxHandshakes {
		conn, address, err := t.near().race(ctx, list)
		if err != nil {
			if failure == nil {
				failure = err
			}
			return nil, failure
		}
		c, err := t.establish(ctx, conn, address, h2)
		if t.Through == nil || err == nil { // what a parent reaches is not its own addresses' fault
			t.near().tell(ctx, address, policy.FaultTLS, err)
		}
		if err == nil {
			return c, nil
		}
		failure = err
		if err.Reason != exchange.TLSFailed || len(list) == 1 {
			break
		}
		list = without(list, address)
	}
	return nil, failure
}

// bounded is ctx until the connect timeout is over.
func (t *Target) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if limit := t.Settings.Timeouts.Connect; limit > 0 {
		return context.WithTimeoutCause(ctx, limit, errConnectTimeout)
	}
	return ctx, func() {}
}

// addresses are those of the backend, from the one in turn on.
func (t *Target) addresses(ctx context.Context, turn int) ([]netip.AddrPort, *Error) {
	if t.fixed != nil {
		n := len(t.fixed)
		if n == 0 {
			return nil, &Error{Reason: exchange.ConnectFailed, Err: fmt.Errorf("%s: %w", t.Backend.Name, ErrNoEndpoints)}
		}
		list := make([]netip.AddrPort, n)
		for i := range list {
			list[i] = t.fixed[(turn+i)%n]
		}
		return list, nil
	}
	addresses, err := t.dialer.resolver.Lookup(ctx, t.Hostname, &t.Settings.DNS)
	if err != nil {
		if lookup, ok := errors.AsType[*resolve.Error](err); ctx.Err() != nil && (!ok || !lookup.NotFound) {
			e := ended(ctx)
			e.Err = err
			return nil, e
		}
		return nil, &Error{Reason: exchange.DNSFailed, Err: err}
	}
	list := make([]netip.AddrPort, len(addresses))
	for i := range list {
		list[i] = t.at(addresses[i])
	}
	return list, nil
}

// establish makes a connection of a socket: TLS, verification and the Handshake stages come before anybody may write.
func (t *Target) establish(ctx context.Context, socket *net.TCPConn, address netip.AddrPort, h2 bool) (*Conn, *Error) {
	c, err := newConn(socket, address, t.pool)
	if err != nil {
		_ = socket.Close()
		return nil, &Error{Reason: exchange.ConnectFailed, Err: err, Address: address}
	}
	if t.Through != nil {
		if failure := t.tunnelled(ctx, c); failure != nil {
			return nil, failure
		}
	}
	if t.pool.config == nil {
		return c, nil
	}
	c.wire.secure = true
	config := t.pool.config
	if h2 {
		config = t.pool.offering
	}
	c.tls = tls.Client(c.wire, config)
	c.plain = c.tls
	if err := handshake(ctx, c.tls); err != nil {
		_ = socket.Close()
		return nil, handshakeError(ctx, err, address)
	}
	state := c.tls.ConnectionState()
	c.state = &state
	if refusal := t.vet(ctx, c); refusal != nil {
		_ = c.Close()
		return nil, refused(refusal, address)
	}
	return c, nil
}

// handshake is on a stack of its own, which it makes large: the caller's goroutine may be about to wait for hours.
func handshake(ctx context.Context, conn *tls.Conn) (err error) {
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		err = conn.HandshakeContext(ctx)
	}()
	if <-done; panicked != nil {
		panic(panicked) // the caller's goroutine is the one that is guarded
	}
	return err
}

func without(list []netip.AddrPort, address netip.AddrPort) []netip.AddrPort {
	rest := make([]netip.AddrPort, 0, len(list))
	for _, a := range list {
		if a != address {
			rest = append(rest, a)
		}
	}
	return rest
}
