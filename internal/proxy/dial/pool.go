package dial

import (
	"crypto/tls"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	sessions     = 16 // TLS sessions a pool remembers: one name, perhaps several addresses
	sweptAtOnce  = 32 // idle connections of a pool looked at in one sweep
	passedAtOnce = 8  // good connections that one target may not use, before it dials

	keepForever = time.Duration(1<<63 - 1)
)

// poolKey is what connections must have in common to be exchanged for one another.
type poolKey struct {
	gateway, backend, hostname string
	port                       int
	protocol                   plan.Protocol
	serverName                 string
	tls                        Key
	through                    *pool  // of the parent that opens tunnels
	hop                        string // what it is told with the wish for one
}

// pool holds the idle connections of one key, or of a wildcard the pools of its names. Its TLS sessions are its own, so
// that none is resumed under another setting, Gateway or backend.
type pool struct {
	key      poolKey
	config   *tls.Config // nil: plain
	offering *tls.Config // config that offers HTTP/2
	now      func() time.Time
	room     *room
	refs     int // targets that hold it; guarded by Dialer.mu
	turn     atomic.Uint32
	used     atomic.Int64

	mu     sync.Mutex
	idle   []*Conn // the last put back is the last
	closed bool

	streams    []*shared    // never changed, but replaced
	queued     atomic.Int64 // those who wait for a stream; changed under room.mu
	flights    map[netip.AddrPort]*flight
	plainSince atomic.Int64 // when the far side chose HTTP/1.1; Unix nanoseconds

	hostsMu sync.RWMutex
	hosts   map[host]*pool
}

// host is what has a pool of its own within a target's.
type host struct{ name, hop string }

func (k *poolKey) host() host { return host{k.hostname, k.hop} }

func newPool(key poolKey, setting *TLS, r *room, now func() time.Time) *pool {
	p := &pool{key: key, now: now, room: r}
	if setting != nil {
		p.config = setting.config(key.serverName, now)
		p.offering = offering(p.config, offers(key.protocol))
	}
	return p
}

func (d *Dialer) hold(key poolKey, setting *TLS) *pool {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.pools[key]
	if p == nil {
		p = newPool(key, setting, d.room(roomKey{key.gateway, key.backend}), d.now)
		p.closed = d.closed
		p.room.add(p)
		d.pools[key] = p
	}
	p.refs++
	return p
}

// room is the one of a backend; it is asked under mu.
func (d *Dialer) room(key roomKey) *room {
	r := d.rooms[key]
	if r == nil {
		r = &room{}
		r.set(policy.Connections{})
		d.rooms[key] = r
	}
	return r
}

func (d *Dialer) release(p *pool) {
	d.mu.Lock()
	p.refs--
	last := p.refs == 0
	if last && d.pools[p.key] == p {
		delete(d.pools, p.key)
	}
	d.mu.Unlock()
	if last {
		p.close()
	}
}

// host is the pool of a name of a wildcard, or of one client's tunnels.
func (p *pool) host(key poolKey, setting *TLS, now func() time.Time) *pool {
	p.hostsMu.RLock()
	child := p.hosts[key.host()]
	p.hostsMu.RUnlock()
	if child == nil {
		child = p.addHost(key, setting, now)
	}
	child.used.Store(now().UnixNano())
	return child
}

func (p *pool) addHost(key poolKey, setting *TLS, now func() time.Time) *pool {
	key.hostname = strings.Clone(key.hostname) // it may be a view of a request
	key.serverName = strings.Clone(key.serverName)
	p.hostsMu.Lock()
	defer p.hostsMu.Unlock()
	if child := p.hosts[key.host()]; child != nil {
		return child
	}
	child := newPool(key, setting, p.room, now)
	p.mu.Lock() // within hostsMu: close sets closed before it asks for the hosts
	closed := p.closed
	p.mu.Unlock()
	if closed {
		child.closed = true
		return child
	}
	if len(p.hosts) >= maxHosts {
		p.evictHost()
	}
	if p.hosts == nil {
		p.hosts = make(map[host]*pool)
	}
	p.hosts[key.host()] = child
	p.room.add(child)
	return child
}

func (p *pool) evictHost() {
	var oldest *pool
	for _, child := range p.hosts {
		if oldest == nil || child.used.Load() < oldest.used.Load() {
			oldest = child
		}
	}
	delete(p.hosts, oldest.key.host())
	oldest.close()
}

// pop takes the last idle connection whose address fits.
func (p *pool) pop(f fit) *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if c := p.idle[i]; f.takes(c.address) {
			p.idle = slices.Delete(p.idle, i, i+1)
			p.room.idle.Add(-1)
			return c
		}
	}
	return nil
}

// shift takes the connection that has been idle for longest.
func (p *pool) shift() *Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[0]
	p.idle = slices.Delete(p.idle, 0, 1)
	p.room.idle.Add(-1)
	return c
}

// idleSince is since when that one is; false where none is.
func (p *pool) idleSince() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return time.Time{}, false
	}
	return p.idle[0].since, true
}

// push puts a connection back; a full pool gives up the one longest idle.
func (p *pool) push(c *Conn) {
	over := p.room.over()
	p.mu.Lock()
	if p.closed || over {
		p.mu.Unlock()
		_ = c.Close()
		return
	}
	var surplus *Conn
	if len(p.idle) >= maxIdle {
		surplus = p.idle[0]
		p.idle = slices.Delete(p.idle, 0, 1)
		p.room.idle.Add(-1)
	}
	p.idle = append(p.idle, c)
	p.room.idle.Add(1)
	p.mu.Unlock()
	if surplus != nil {
		_ = surplus.Close()
	}
}

// sweep closes what has been idle too long and, of the longest idle, what the far side closed.
func (p *pool) sweep(now time.Time) {
	var over []*Conn
	p.mu.Lock()
	kept := p.idle[:0]
	for i, c := range p.idle {
		if c.tired(now) || i < sweptAtOnce && !c.quiet() {
			over = append(over, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(p.idle[len(kept):])
	p.idle = kept
	p.room.idle.Add(-int64(len(over)))
	streams := p.streams
	p.mu.Unlock()
	for _, s := range streams {
		if s.tired(now, p.room.limits.Load().Idle) {
			s.retire()
		}
	}
	for _, c := range over {
		_ = c.Close()
	}
	for _, child := range p.children() {
		child.sweep(now)
	}
}

func (p *pool) close() {
	p.mu.Lock()
	idle, streams := p.idle, p.streams
	p.idle, p.streams, p.closed = nil, nil, true
	p.room.idle.Add(-int64(len(idle)))
	p.mu.Unlock()
	p.room.remove(p)
	for _, s := range streams {
		s.retire()
	}
	for _, c := range idle {
		_ = c.Close()
	}
	for _, child := range p.children() {
		child.close()
	}
}

func (p *pool) children() []*pool {
	p.hostsMu.RLock()
	defer p.hostsMu.RUnlock()
	list := make([]*pool, 0, len(p.hosts))
	for _, child := range p.hosts {
		list = append(list, child)
	}
	return list
}
