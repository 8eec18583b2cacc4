package identify

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// shards divide the table of addresses, so that a Pod that comes costs a copy of a few hundred entries at most.
const shards = 256

// Pod is a known Pod. It is immutable but for its life.
type Pod struct {
	Namespace, ServiceAccount, Name string
	Owner                           string // what made it: Deployment/web
	uid                             string
	addresses                       []netip.Addr
	life                            *life
	rivals                          []*Pod // no Pod, but an address that all of these claim: it names nobody
}

// life is what changes of a Pod. Versions of a Pod share it.
type life struct {
	ending atomic.Bool // it is being deleted: no new connection is its
	ended  atomic.Bool

	mu      sync.Mutex
	origins map[*Origin]struct{} // its connections
}

// Pods are the Pods of the cluster by their addresses. Looking one up takes no lock and allocates nothing. The zero value
// knows none, and is for concurrent use.
type Pods struct {
	table [shards]atomic.Pointer[map[netip.Addr]*Pod]
	whole atomic.Bool                   // all have been told of once
	news  atomic.Pointer[chan struct{}] // closed by the next Update

	mu        sync.RWMutex
	byName    map[string]*Pod                     // by plan name
	strangers map[netip.Addr]map[*Origin]struct{} // connections from addresses that no Pod had, to be told if one has
	missed    map[netip.Addr]time.Time            // addresses that were waited for, and until when they are not again
}

// Known reports whether all Pods have been told of once.
func (p *Pods) Known() bool { return p.whole.Load() }

// Update takes the Pods that have come or changed and, as nil, those that have gone, by plan name. Where whole is true,
// they are all that there are. The connections of a Pod that has ended are closed.
func (p *Pods) Update(changed map[string]*plan.Workload, whole bool) {
	var ended []*life
	p.mu.Lock()
	if p.byName == nil {
		p.byName = map[string]*Pod{}
	}
	e := edit{pods: p, tables: map[int]map[netip.Addr]*Pod{}}
	if whole {
		for name, pod := range p.byName {
			if changed[name] == nil {
				e.remove(pod)
				delete(p.byName, name)
				ended = append(ended, pod.life)
			}
		}
	}
	for name, w := range changed {
		old := p.byName[name]
		if old != nil && w != nil && old.is(w) {
			continue
		}
		if old != nil && (w == nil || old.uid != w.UID) {
			ended = append(ended, old.life)
		}
		if old != nil {
			e.remove(old)
			delete(p.byName, name)
		}
		if w != nil {
			pod := newPod(name, w, old)
			p.byName[name] = pod
			e.add(pod)
		}
	}
	e.store()
	if whole {
		p.whole.Store(true)
	}
	p.mu.Unlock()
	if news := p.news.Swap(nil); news != nil {
		close(*news)
	}
	for _, l := range ended {
		l.end()
	}
}

func newPod(name string, w *plan.Workload, old *Pod) *Pod {
	pod := &Pod{
		Namespace: w.Namespace(), ServiceAccount: w.ServiceAccount, Name: baseName(name), Owner: w.Owner,
		uid: w.UID, addresses: w.Addresses, life: &life{},
	}
	if old != nil && old.uid == w.UID {
		pod.life = old.life
	}
	pod.life.ending.Store(w.Ending)
	return pod
}

// is reports whether a Pod is a workload as it is now.
func (p *Pod) is(w *plan.Workload) bool {
	return p.uid == w.UID && p.ServiceAccount == w.ServiceAccount && p.Owner == w.Owner && p.life.ending.Load() == w.Ending && slices.Equal(p.addresses, w.Addresses)
}

// baseName is the name in a "Pod/namespace/name".
func baseName(name string) string {
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}

func (l *life) end() {
	l.ended.Store(true)
	l.mu.Lock()
	origins := l.origins
	l.origins = nil
	l.mu.Unlock()
	for o := range origins {
		o.cut()
	}
}

// edit is a change of the table: shards that are touched are copied once.
type edit struct {
	pods   *Pods
	tables map[int]map[netip.Addr]*Pod
}

func (e *edit) at(a netip.Addr) map[netip.Addr]*Pod {
	i := shardOf(a)
	table, ok := e.tables[i]
	if !ok {
		table = map[netip.Addr]*Pod{}
		if current := e.pods.table[i].Load(); current != nil {
			maps.Copy(table, *current)
		}
		e.tables[i] = table
	}
	return table
}

func (e *edit) add(pod *Pod) {
	for _, a := range pod.addresses {
		a = a.Unmap()
		e.put(a, append(e.claims(a), pod))
		for o := range e.pods.strangers[a] {
			o.stale.Store(true)
		}
		delete(e.pods.missed, a)
	}
}

func (e *edit) remove(pod *Pod) {
	for _, a := range pod.addresses {
		a = a.Unmap()
		var left []*Pod
		for _, other := range e.claims(a) {
			if other != pod {
				left = append(left, other)
			}
		}
		e.put(a, left)
	}
}

// claims are the Pods of an address.
func (e *edit) claims(a netip.Addr) []*Pod {
	switch pod := e.at(a)[a]; {
	case pod == nil:
		return nil
	case pod.rivals != nil:
		return append([]*Pod(nil), pod.rivals...)
	default:
		return []*Pod{pod}
	}
}

func (e *edit) put(a netip.Addr, claims []*Pod) {
	switch table := e.at(a); len(claims) {
	case 0:
		delete(table, a)
	case 1:
		table[a] = claims[0]
	default:
		table[a] = &Pod{rivals: claims}
	}
}

func (e *edit) store() {
	for i, table := range e.tables {
		e.pods.table[i].Store(&table)
	}
}

// shardOf spreads addresses, whose last bits differ most.
func shardOf(a netip.Addr) int {
	b := a.As16()
	h := (binary.BigEndian.Uint64(b[8:]) ^ binary.BigEndian.Uint64(b[:8])) * 0x9e3779b97f4a7c15
	return int(h >> 56) // a byte: 256 shards
}

// find is the Pod of an address; nil where none has it.
func (p *Pods) find(a netip.Addr) *Pod {
	table := p.table[shardOf(a)].Load()
	if table == nil {
		return nil
	}
	return (*table)[a]
}

// named is the Pod that an address names for whoever comes from there now. answered is also true of an address that two
// claim; one whose Pod is ending is nobody's.
func (p *Pods) named(a netip.Addr) (pod *Pod, answered bool) {
	switch pod = p.find(a); {
	case pod == nil:
		return nil, false
	case pod.rivals != nil:
		return nil, true
	case pod.life.ending.Load() || pod.life.ended.Load():
		return nil, false
	}
	return pod, true
}

// byToken is the Pod that a token is bound to; nil where it is not known, or no more.
func (p *Pods) byToken(namespace, name, uid, serviceAccount string) *Pod {
	p.mu.RLock()
	defer p.mu.RUnlock()
	pod := p.byName[plan.ObjectName("Pod", namespace, name)]
	if pod == nil || pod.uid != uid || pod.ServiceAccount != serviceAccount {
		return nil
	}
	return pod
}

// updated is closed by the next Update.
func (p *Pods) updated() <-chan struct{} {
	for {
		if news := p.news.Load(); news != nil {
			return *news
		}
		news := make(chan struct{})
		p.news.CompareAndSwap(nil, &news)
	}
}
