package identify

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	patience    = 500 * time.Millisecond // with an address that has no name yet, from the connection's begin
	forgetting  = 30 * time.Second       // after an address was waited for in vain, before it is again
	maxMissed   = 4096                   // addresses of which that is remembered
	maxStranger = 64                     // connections of one address without a name that are told when it gets one
)

// Origin is where a connection comes from, as long as it lasts: its Pod is that of the address when it began, or that got
// to be known within a moment after, and no other one's that has the address later.
type Origin struct {
	pods    *Pods
	address netip.Addr
	since   time.Time
	close   func()
	stale   atomic.Bool // the address has a Pod now, and this connection is not known to be its
	token   atomic.Pointer[verified]

	settled atomic.Bool // the Pod is what it will be
	pod     atomic.Pointer[Pod]

	mu   sync.Mutex // of settling and the end
	gone bool
}

// Connect notes a connection from an address; cut is called, once at most, when its Pod ends. Gone has to be called when the
// connection has ended.
func (p *Pods) Connect(address netip.Addr, cut func()) *Origin {
	o := &Origin{pods: p, address: address.Unmap(), since: time.Now(), close: cut}
	o.look(false)
	return o
}

// Gone tells that the connection has ended.
func (o *Origin) Gone() {
	o.mu.Lock()
	o.gone = true
	o.mu.Unlock()
	if pod := o.pod.Load(); pod != nil && pod.life != nil {
		pod.life.mu.Lock()
		delete(pod.life.origins, o)
		pod.life.mu.Unlock()
	}
	p := o.pods
	p.mu.Lock()
	if delete(p.strangers[o.address], o); len(p.strangers[o.address]) == 0 {
		delete(p.strangers, o.address)
	}
	p.mu.Unlock()
}

func (o *Origin) cut() { o.close() }

// Retire reports whether the connection should end after what it is at: a new one would be known.
func (o *Origin) Retire() bool { return o.stale.Load() }

// Settle waits until the connection's Pod is known, for half a second from the connection's begin at most. Only its first
// requests ever wait.
func (o *Origin) Settle(ctx context.Context) {
	if o.settled.Load() {
		return
	}
	timer := time.NewTimer(time.Until(o.since.Add(patience)))
	defer timer.Stop()
	for {
		news := o.pods.updated()
		if o.look(false) || o.pods.hasMissed(o.address) {
			break
		}
		select {
		case <-news:
			continue
		case <-timer.C:
			o.pods.miss(o.address)
		case <-ctx.Done():
			return
		}
		break
	}
	o.look(true)
}

// look finds the connection's Pod, and reports whether it is settled. The last look settles it.
func (o *Origin) look(last bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.settled.Load() || o.gone {
		return true
	}
	pod := o.pods.find(o.address)
	late := time.Since(o.since) > patience
	switch {
	case pod == nil && !last && !late:
		return false
	case late && pod != nil && pod.life != nil && !pod.life.ending.Load():
		o.stale.Store(true)
		fallthrough
	case pod == nil || late, pod.life != nil && (pod.life.ending.Load() || pod.life.ended.Load()):
		o.pods.estrange(o)
		o.settled.Store(true)
		return true
	}
	o.pod.Store(pod)
	o.settled.Store(true)
	if l := pod.life; l != nil {
		l.mu.Lock()
		if l.origins == nil {
			l.origins = map[*Origin]struct{}{}
		}
		l.origins[o] = struct{}{}
		l.mu.Unlock()
		if l.ended.Load() { // meanwhile: whoever ended it may have missed this one
			o.cut()
		}
	}
	return true
}

// named is the connection's Pod. answered is also true where the address was one that two claimed, and where the Pod has
// ended.
func (o *Origin) named() (pod *Pod, answered bool) {
	switch pod = o.pod.Load(); {
	case pod == nil:
		return nil, false
	case pod.rivals != nil || pod.life.ended.Load():
		return nil, true
	}
	return pod, true
}

// estrange remembers a connection without a Pod.
func (p *Pods) estrange(o *Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.strangers == nil {
		p.strangers = map[netip.Addr]map[*Origin]struct{}{}
	}
	list := p.strangers[o.address]
	if list == nil {
		list = map[*Origin]struct{}{}
		p.strangers[o.address] = list
	}
	if len(list) < maxStranger {
		list[o] = struct{}{}
	}
}

// miss remembers an address that was waited for in vain.
func (p *Pods) miss(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.missed == nil || len(p.missed) >= maxMissed {
		p.missed = map[netip.Addr]time.Time{}
	}
	p.missed[a] = time.Now().Add(forgetting)
}

func (p *Pods) hasMissed(a netip.Addr) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	until, ok := p.missed[a]
	return ok && time.Now().Before(until)
}
