package accept

import (
	"errors"
	"hash/maphash"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ebbgate/ebbgate/internal/proxy/pace"
)

// Limit is a bound of what clients' connections may do that leaves no answer behind which would show that it was reached.
type Limit int

// The limits.
const (
	Connections       Limit = iota // of a socket
	ClientConnections              // of a client's address
	Requests                       // of a connection
	Abandoned                      // streams of a connection that their client gave up
	Frames                         // bytes of a connection that are no requests
	Memory                         // of the process: connections that it had, or has, no room for
	limits
)

func (l Limit) String() string {
	return [...]string{"connections", "client_connections", "requests", "abandoned_streams", "frames", "memory"}[l]
}

// The bounds of a client, and of a connection.
const (
	maxClient     = maxConnections / 4 // connections of one address to a socket; of IPv6, of one network of 64 bits
	maxRequests   = 100_000            // of a connection, which then ends: clients come to newer gateways
	maxAbandoned  = 200                // streams that a client may give up at once
	abandonedRate = 20                 // and a second; each one that it awaits earns another
)

// What an HTTP/2 connection may send beside requests and their bodies, in bytes: at once, where bodies may be on their way
// that nobody has read yet, and a second. And what earns some: fields and bodies come in frames, small ones in TLS records of
// their own; for what a client reads it opens windows; a body that is refused may have been sent.
const (
	maxFrames    = connectionWindow + 1<<20
	framesRate   = 16 << 10
	requestFrame = 512 // beside a request's fields
	fieldFrame   = 32  // beside a field's name and value
	bodyFrame    = 2   // times a body's bytes
	answerFrame  = 96  // beside a part of an answer's bytes
	answerShare  = 16
	refusedBody  = 64 << 10
	maxUnread    = 64 << 10 // of that, where the process has no memory left: bodies that nobody reads wait in it
)

// limited notes that a limit was reached.
func (so *socket) limited(l Limit) { so.reached[l].Add(1) }

// Reached tells how often clients have reached each limit on each socket since it was bound.
func (s *Set) Reached(yield func(socket, limit string, n int64)) {
	s.mu.Lock()
	sockets := slices.Collect(maps.Values(s.sockets))
	s.mu.Unlock()
	for _, so := range sockets {
		for l := range limits {
			yield(so.address, l.String(), so.reached[l].Load())
		}
	}
}

// spent reports whether a connection has brought as many requests as it may.
func (so *socket) spent(requests int64) bool {
	if requests == maxRequests {
		so.limited(Requests)
	}
	return requests >= maxRequests
}

// clients counts the connections of each client of a socket.
type clients struct {
	most   int // of each
	seed   maphash.Seed
	shards [16]struct {
		mu     sync.Mutex
		counts map[netip.Addr]int
	}
}

func newClients(most int) *clients {
	c := &clients{most: most, seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i].counts = map[netip.Addr]int{}
	}
	return c
}

// of is whom an address counts as: who has one of IPv6 has its whole network.
func of(address netip.Addr) netip.Addr {
	if address.Is6() {
		if network, err := address.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return address
}

// enter counts a connection, unless its client has as many as it may.
func (c *clients) enter(address netip.Addr) bool {
	client := of(address)
	sh := &c.shards[maphash.Comparable(c.seed, client)%uint64(len(c.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.counts[client] >= c.most {
		return false
	}
	sh.counts[client]++
	return true
}

func (c *clients) leave(address netip.Addr) {
	client := of(address)
	sh := &c.shards[maphash.Comparable(c.seed, client)%uint64(len(c.shards))]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.counts[client]--; sh.counts[client] <= 0 {
		delete(sh.counts, client)
	}
}

// pacing is how an HTTP/2 connection is held to its bounds. All but Spend of frames may be called by any goroutine.
type pacing struct {
	socket    *socket
	sheds     func() bool // whether the process has no memory left
	requests  atomic.Int64
	frames    *pace.Bucket
	abandoned *pace.Bucket
	mu        sync.Mutex // of those who spend abandoned
}

func newPacing(so *socket, sheds func() bool) *pacing {
	return &pacing{socket: so, sheds: sheds, frames: pace.New(maxFrames, framesRate), abandoned: pace.New(maxAbandoned, abandonedRate)}
}

var errFrames = errors.New("more bytes than requests, or what is left of memory, explain")

// read counts what has come, and reports whether more may.
func (p *pacing) read(n int) bool {
	switch {
	case !p.frames.Spend(int64(n)):
		p.socket.limited(Frames)
	case p.frames.Spent() > maxUnread && p.sheds():
		p.socket.limited(Memory)
	default:
		return true
	}
	return false
}

// request counts a request, and reports whether it is to be the connection's last.
func (p *pacing) request() (last bool) { return p.socket.spent(p.requests.Add(1)) }

// over counts a stream's end, and reports whether the client gives up more of them than it may.
func (p *pacing) over(abandoned bool) (tooMany bool) {
	if !abandoned {
		p.abandoned.Earn(1)
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned.Spend(1) {
		return false
	}
	p.socket.limited(Abandoned)
	return true
}
