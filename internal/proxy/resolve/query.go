package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"

	"github.com/ebbgate/ebbgate/internal/policy"
)

const (
	rounds = 2 // times each server is asked
	// straggler is how long the second family is waited for once the first is there. RFC 8305, section 3, says 50 ms for
	// one connection; ours is shared and cached, so it is worth a little more.
	straggler = 200 * time.Millisecond
)

// found is a good answer: at least one address.
type found struct {
	v4, v6 []netip.Addr
	ttl    time.Duration
}

// query asks whom the settings name.
func (r *Resolver) query(ctx context.Context, name string, settings *policy.DNS) (found, error) {
	if len(settings.Resolvers) == 0 {
		return r.querySystem(ctx, name, settings)
	}
	return queryServers(ctx, name, settings)
}

// querySystem asks as the machine is set up (hosts file, resolv.conf). It learns no TTL, so the settings' least holds.
// A name with a dot is taken as complete: a search list would ask for it below other domains first, and let those answer.
func (r *Resolver) querySystem(ctx context.Context, name string, settings *policy.DNS) (found, error) {
	network := [...]string{policy.FamilyAuto: "ip", policy.FamilyIPv4: "ip4", policy.FamilyIPv6: "ip6"}[settings.Family]
	asked := name
	if strings.Contains(name, ".") {
		asked += "."
	}
	list, err := r.system.LookupNetIP(ctx, network, asked)
	if err != nil {
		if missing, ok := errors.AsType[*net.DNSError](err); ok && missing.IsNotFound {
			return found{}, errNotFound
		}
		return found{}, fmt.Errorf("ask the system's resolver: %w", err)
	}
	v4, v6 := split(list, settings.Family)
	if len(v4)+len(v6) == 0 {
		return found{}, errNotFound
	}
	return found{v4: v4, v6: v6, ttl: settings.MinTTL}, nil
}

// reply is what one family's walk over the servers gave.
type reply struct {
	addresses []netip.Addr
	ttl       time.Duration
	err       error
}

// queryServers asks for both families at once. One that fails or lags does not hold up the other; the answer is then
// kept for the least time only.
func queryServers(ctx context.Context, name string, settings *policy.DNS) (found, error) {
	ctx, cancel := context.WithCancel(ctx)
	var asking sync.WaitGroup
	defer asking.Wait()
	defer cancel()

	var types []uint16
	if settings.Family != policy.FamilyIPv4 {
		types = append(types, dns.TypeAAAA)
	}
	if settings.Family != policy.FamilyIPv6 {
		types = append(types, dns.TypeA)
	}
	replies := make(chan reply, len(types))
	for _, t := range types {
		asking.Go(func() { replies <- walk(ctx, question{name: dns.Fqdn(name), qtype: t}, settings.Resolvers) })
	}

	var late <-chan time.Time
	var all []netip.Addr
	var failure error
	ttl, complete := longestLife, true
	for range types {
		select {
		case got := <-replies:
			if errors.Is(got.err, errNotFound) { // no name, no record of any type (RFC 8020)
				return found{}, errNotFound
			}
			if got.err != nil {
				failure, complete = got.err, false
				continue
			}
			if len(got.addresses) > 0 {
				all, ttl = append(all, got.addresses...), min(ttl, got.ttl)
				late = time.After(straggler)
			}
		case <-late:
			complete = false
		}
	}
	switch {
	case len(all) == 0 && failure != nil:
		return found{}, failure
	case len(all) == 0:
		return found{}, errNotFound
	case !complete:
		ttl = settings.MinTTL
	}
	v4, v6 := split(all, settings.Family)
	return found{v4: v4, v6: v6, ttl: ttl}, nil
}

// walk asks the servers in order, twice at most, until one answers. That the name does not exist is an answer.
func walk(ctx context.Context, q question, servers []policy.Resolver) reply {
	var failure error
	for range rounds {
		for _, server := range servers {
			addresses, ttl, err := ask(ctx, server, q)
			if err == nil || errors.Is(err, errNotFound) {
				return reply{addresses: addresses, ttl: ttl, err: err}
			}
			failure = fmt.Errorf("ask %s for %s: %w", server.Address, dns.TypeToString[q.qtype], err)
			if ctx.Err() != nil {
				return reply{err: failure}
			}
		}
	}
	return reply{err: failure}
}
