package dial

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/gather"
	"github.com/ebbgate/ebbgate/internal/proxy/pace"
)

const (
	protocolH2   = "h2"
	streamWindow = 256 << 10 // of an answer that nobody has read yet, a stream
	maxHead      = 64 << 10
	pingAfter    = 30 * time.Second
	pingTimeout  = 15 * time.Second
	maxFlights   = 3                // connections that others fail to make while one Get waits, before it makes its own
	maxWaits     = 64               // and that others make, but that have no room when it comes to it
	plainFor     = 10 * time.Minute // a far side that chose HTTP/1.1 is offered HTTP/2 again
	silentFor    = 500 * time.Millisecond
)

// Want is what a request needs of its connection.
type Want struct {
	HTTP2    bool           // its client speaks HTTP/2: mirrored where the far side offers it
	Switch   bool           // it asks to switch protocols, which HTTP/1.1 does better
	Endpoint netip.AddrPort // of a backend with addresses of its own, the one preferred; invalid: the next in turn
	Limit    time.Duration  // for the connection to come about; zero: the connect timeout alone
}

// Upstream is a connection to a backend, or one stream of it, that carries one exchange.
type Upstream interface {
	// Address is the address dialled.
	Address() netip.AddrPort
	// Reused reports whether the connection has carried a request before.
	Reused() bool
	// Raw is what breaks the exchange off at once, from any goroutine.
	Raw() io.Closer
	// Lost reports whether its user is the first to say that the connection is lost, of all those who shared it.
	Lost() bool
	// Put gives the connection back: to its pool if another request may use it, else it is closed.
	Put()
	// Close ends the connection, or the stream. It may be called more than once.
	Close() error
}

// shared is a connection that speaks HTTP/2. Its streams are its exchanges'.
type shared struct {
	conn    *Conn
	client  *http.ClientConn
	used    atomic.Bool
	retired atomic.Bool  // closed once its last stream has ended
	since   atomic.Int64 // it has had no stream; Unix nanoseconds, 0 while it has
	lost    atomic.Bool
}

// Stream is one exchange on a connection that speaks HTTP/2, reserved until RoundTrip or Put.
type Stream struct {
	shared *shared
	reused bool
	cancel context.CancelFunc
	ctx    context.Context //nolint:containedctx // ends with the exchange
	sent   atomic.Bool
	alone  *http2.ClientConn //nolint:staticcheck // of a connection for one exchange that switches protocols; else nil
}

// Address implements Upstream.
func (s *Stream) Address() netip.AddrPort { return s.shared.conn.address }

// Reused implements Upstream.
func (s *Stream) Reused() bool { return s.reused }

// Raw implements Upstream: the stream alone is reset.
func (s *Stream) Raw() io.Closer { return closer(s.cancel) }

type closer func()

func (c closer) Close() error { c(); return nil }

// Lost implements Upstream.
func (s *Stream) Lost() bool { return !s.shared.lost.Swap(true) }

// Context ends with the exchange.
func (s *Stream) Context() context.Context { return s.ctx }

// Secure reports whether the connection is one over TLS.
func (s *Stream) Secure() bool { return s.shared.conn.tls != nil }

// RoundTrip sends a request and waits for its answer's head. It is called once.
func (s *Stream) RoundTrip(r *http.Request) (*http.Response, error) {
	s.sent.Store(true)
	if s.alone != nil {
		return s.alone.RoundTrip(r)
	}
	wire := s.shared.conn.wire
	begun, heard := time.Now(), wire.heard.Load()
	res, err := s.shared.client.RoundTrip(r)
	if err != nil && wire.heard.Load() == heard && time.Since(begun) >= silentFor {
		s.shared.retire() // the way may be dead, which a ping finds out late and only at a loss: the next request goes over another connection
	}
	return res, err
}

// Put implements Upstream.
func (s *Stream) Put() { _ = s.Close() }

// Close implements Upstream.
func (s *Stream) Close() error {
	s.cancel()
	switch sent := s.sent.Swap(true); {
	case s.alone != nil:
		return s.alone.Close()
	case !sent:
		s.shared.client.Release()
	}
	return nil
}

// newTransport makes HTTP/2 connections of what is dialled by us: the connection comes in the context.
func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	take := func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, ok := ctx.Value(dialled{}).(net.Conn)
		if !ok {
			return nil, errors.New("no connection was handed over")
		}
		return c, nil
	}
	return &http.Transport{
		DialContext: take, DialTLSContext: take,
		DisableCompression: true, Protocols: &protocols, MaxResponseHeaderBytes: maxHead,
		HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: streamWindow, SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
}

// newTunnels makes the connections of exchanges that switch protocols.
func newTunnels() *http2.Transport { //nolint:staticcheck // see tunnel
	return &http2.Transport{DisableCompression: true, MaxHeaderListSize: maxHead, ReadIdleTimeout: pingAfter, PingTimeout: pingTimeout} //nolint:staticcheck // see tunnel
}

type dialled struct{}

// wants reports whether a request is to go over HTTP/2, and whether over nothing else.
func (t *Target) wants(w Want) (h2, only bool) {
	switch t.Protocol {
	case plan.HTTP2:
		return true, true
	case plan.HTTP, "":
		return t.TLS != nil && w.HTTP2 && !w.Switch && !t.pool.plain(t.dialer.now()), false
	}
	return false, false
}

// stream is a place on a connection that speaks HTTP/2: on one that has room, else on a new one, which many may wait for.
// Where the far side chose HTTP/1.1, it is a connection of that.
func (t *Target) stream(ctx context.Context, turn int, only bool, w *waiter) (Upstream, *Error) {
	if !t.pool.room.mayJoin(t.pool, w) {
		return nil, errFull
	}
	if s := t.join(ctx, turn); s != nil {
		return s, nil
	}
	callers := ctx
	ctx, cancel := t.bounded(ctx)
	defer cancel()
	key := netip.AddrPort{}
	if fixed := t.near().fixed; len(fixed) > 0 {
		key = fixed[turn%len(fixed)]
	}
	failed := 0
	for waits := 0; failed < maxFlights && waits < maxWaits; waits++ {
		if s := t.join(ctx, turn); s != nil {
			return s, nil
		}
		f, leads := t.pool.flight(key, t.root)
		if !leads {
			select {
			case <-f.done:
			case <-ctx.Done():
				return nil, ended(ctx)
			}
			switch {
			case f.failure != nil && f.leader == t.root:
				return nil, f.failure
			case !only && t.pool.plain(t.dialer.now()):
				return nil, nil
			case !f.made:
				failed++
			}
			continue
		}
		if s := t.join(ctx, turn); s != nil { // another one has landed since
			f.made = true
			t.pool.land(key, f)
			return s, nil
		}
		up, failure := t.fly(ctx, turn, only, w)
		f.made = failure == nil
		if failure != nil && callers.Err() == nil && !full(failure) { // else it is the leader's own
			f.failure = failure
		}
		t.pool.land(key, f)
		return up, failure
	}
	return t.fly(ctx, turn, only, w)
}

// fly makes a connection and takes a place on it.
func (t *Target) fly(ctx context.Context, turn int, only bool, w *waiter) (Upstream, *Error) {
	c, failure := t.open(ctx, turn, true, w)
	if failure != nil {
		return nil, failure
	}
	if c.tls != nil && c.state.NegotiatedProtocol != protocolH2 {
		if only {
			_ = c.Close()
			return nil, &Error{Reason: exchange.TLSFailed, Err: errNotHTTP2, Address: c.address}
		}
		t.pool.plainSince.Store(t.dialer.now().UnixNano())
		c.lend(false)
		return c, nil
	}
	s, err := t.share(ctx, c)
	if err != nil {
		_ = c.wire.Close()
		return nil, &Error{Reason: exchange.ConnectFailed, Err: err, Address: c.address}
	}
	if err := s.client.Reserve(); err != nil {
		_ = s.client.Close()
		return nil, &Error{Reason: exchange.ConnectFailed, Err: fmt.Errorf("reserve a stream: %w", err), Address: c.address}
	}
	s.used.Store(true)
	t.pool.share(s)
	if s.client.Err() != nil { // its end may have come before it was there to be forgotten
		t.pool.forget(s)
	}
	return &Stream{shared: s}, nil
}

// begin speaks HTTP/2 on a connection.
func (t *Target) begin(ctx context.Context, c *Conn) (*http.ClientConn, error) {
	var conn net.Conn = c.wire
	scheme := "http"
	if c.tls != nil {
		conn, scheme = c.tls, "https"
	}
	c.wire.secure, c.wire.frames = false, pace.New(maxFrames, framesRate) // nobody looks for the borders of its records
	c.wire.Conn = gather.New(c.wire.Conn, farewell, nil)
	client, err := t.dialer.transport.NewClientConn(context.WithValue(ctx, dialled{}, conn), scheme, c.address.String())
	if err != nil {
		return nil, fmt.Errorf("begin HTTP/2: %w", err)
	}
	return client, nil
}

// share begins to speak HTTP/2 on a connection, for many.
func (t *Target) share(ctx context.Context, c *Conn) (*shared, error) {
	client, err := t.begin(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &shared{conn: c, client: client}
	client.SetStateHook(func(cc *http.ClientConn) {
		switch busy := cc.InFlight() > 0; {
		case cc.Err() != nil:
			t.pool.forget(s)
		case busy:
			s.since.Store(0)
		case s.retired.Load():
			_ = cc.Close()
		default:
			s.since.Store(t.dialer.now().UnixNano())
		}
		t.pool.room.freed(t.pool)
		t.pool.room.wake()
	})
	return s, nil
}

// tunnel is a connection for one exchange that switches protocols (RFC 8441). net/http's own client takes no ":protocol";
// golang.org/x/net's, which it is made from, does.
func (t *Target) tunnel(ctx context.Context, turn int, w *waiter) (*Stream, *Error) {
	c, failure := t.open(ctx, turn, true, w)
	if failure != nil {
		return nil, failure
	}
	var conn net.Conn = c.wire
	if c.tls != nil {
		if c.state.NegotiatedProtocol != protocolH2 {
			_ = c.Close()
			return nil, &Error{Reason: exchange.TLSFailed, Err: errNotHTTP2, Address: c.address}
		}
		conn = c.tls
	}
	c.wire.secure, c.wire.frames = false, pace.New(maxFrames, framesRate) // as in begin
	client, err := t.dialer.tunnels.NewClientConn(conn)                   //nolint:staticcheck // see above
	if err != nil {
		_ = c.wire.Close()
		return nil, &Error{Reason: exchange.ConnectFailed, Err: fmt.Errorf("begin HTTP/2: %w", err), Address: c.address}
	}
	return &Stream{shared: &shared{conn: c}, alone: client}, nil
}

var errNotHTTP2 = errors.New("the far side does not speak HTTP/2")

// join takes a place on a connection that is there, whose address and handshake this target may use now.
func (t *Target) join(ctx context.Context, turn int) *Stream {
	f, ok := t.fit(turn)
	if !ok {
		return nil
	}
	for _, s := range t.pool.sharing() {
		c := s.conn
		if s.client.Err() != nil || !f.takes(c.address) || !t.lets(ctx, c) {
			continue
		}
		if s.client.Reserve() != nil {
			continue
		}
		if s.retired.Load() { // after the reservation: who retires it looks for those
			s.client.Release()
			continue
		}
		return &Stream{shared: s, reused: s.used.Swap(true)}
	}
	return nil
}

// flight is a connection that is being made.
type flight struct {
	leader  *Target // whose stages and times it is made under
	done    chan struct{}
	made    bool
	failure *Error // of those of the same target who wait too
}

// flight joins the connection that is being made to the address, or leads the making of one.
func (p *pool) flight(key netip.AddrPort, leader *Target) (f *flight, leads bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f = p.flights[key]; f != nil {
		return f, false
	}
	f = &flight{leader: leader, done: make(chan struct{})}
	if p.flights == nil {
		p.flights = make(map[netip.AddrPort]*flight)
	}
	p.flights[key] = f
	return f, true
}

func (p *pool) land(key netip.AddrPort, f *flight) {
	p.mu.Lock()
	delete(p.flights, key)
	p.mu.Unlock()
	close(f.done)
}

// plain reports whether the far side is known not to speak HTTP/2.
func (p *pool) plain(now time.Time) bool {
	return now.UnixNano()-p.plainSince.Load() < int64(plainFor)
}

// share lets others use the connection.
func (p *pool) share(s *shared) {
	p.mu.Lock()
	closed := p.closed
	if !closed {
		p.streams = append(slices.Clone(p.streams), s)
	}
	p.mu.Unlock()
	if closed {
		s.retire()
	}
}

// sharing are the connections that speak HTTP/2. The list is not changed.
func (p *pool) sharing() []*shared {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.streams
}

func (p *pool) forget(s *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams = slices.DeleteFunc(slices.Clone(p.streams), func(o *shared) bool { return o == s })
}

// tired reports whether the connection has had no stream for as long as it may.
func (s *shared) tired(now time.Time, limit time.Duration) bool {
	since := s.since.Load()
	return since > 0 && now.UnixNano()-since >= int64(limit)
}

// hasStreams reports whether one of the pool's connections has room for one more stream.
func (p *pool) hasStreams() bool {
	for _, s := range p.sharing() {
		if s.client.Err() == nil && !s.retired.Load() && s.client.Available() > 0 {
			return true
		}
	}
	return slices.ContainsFunc(p.children(), (*pool).hasStreams)
}

// retire closes the connection once its streams have ended.
func (s *shared) retire() {
	s.retired.Store(true)
	if s.client.InFlight() == 0 {
		_ = s.client.Close()
	}
}

// offers are the protocols that a pool's handshakes offer (RFC 7301): those of HTTP/1.1, and those of HTTP/2.
func offers(protocol plan.Protocol) []string {
	if protocol == plan.HTTP2 {
		return []string{protocolH2}
	}
	return []string{protocolH2, "http/1.1"}
}

// offering is a TLS configuration with other protocols and the same sessions.
func offering(config *tls.Config, protocols []string) *tls.Config {
	if config == nil {
		return nil
	}
	c := config.Clone()
	c.NextProtos = protocols
	return c
}

// streamError takes net/http's own error of a stream, which it gives to whatever has its shape.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream %d: code %d", e.StreamID, e.Code) }

// StreamEnded reports whether a stream ended alone, by RST_STREAM of either side, and its connection lives.
func StreamEnded(err error) bool {
	_, ok := errors.AsType[streamError](err)
	return ok
}

// Malformed reports whether net/http itself ended a stream because of what the far side sent on it (RFC 9113, section
// 8.1.1). That it was longer than it said, net/http tells by the text of its error alone: test/attacks has a far side that is.
func Malformed(err error) bool {
	const protocol = 0x1
	if stream, ok := errors.AsType[streamError](err); ok {
		return stream.Code == protocol && !stream.byPeer()
	}
	return err != nil && strings.Contains(err.Error(), "net/http: server replied with more than declared Content-Length")
}

func (e streamError) byPeer() bool { return e.Cause != nil && e.Cause.Error() == "received from peer" }

// Untaken reports whether an error of a stream proves that the far side did not take the request: it refused the stream
// (RFC 9113, section 8.7), its GOAWAY left the stream out (section 6.8), or no stream was begun. net/http tells the latter
// by the text of its errors alone.
func Untaken(err error) bool {
	if stream, ok := errors.AsType[streamError](err); ok {
		const refused = 0x7
		return stream.Code == refused && stream.byPeer()
	}
	switch wrapped := err.(type) { //nolint:errorlint // it walks the tree itself, for texts
	case nil:
		return false
	case interface{ Unwrap() error }:
		return Untaken(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapped.Unwrap(), Untaken)
	}
	switch text := err.Error(); text {
	case "http2: client conn not usable", "http2: client conn could not be established",
		"http2: Transport received Server's graceful shutdown GOAWAY":
		return true
	default:
		return strings.HasPrefix(text, "http2: Transport received GOAWAY from server ErrCode:")
	}
}
