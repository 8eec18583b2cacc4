package route

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// Loss is why a parentRef attaches its route to nothing: a route of the other kind has some of its hostnames. Why says what
// that one precedes by.
type Loss struct{ Winner, Why, Listener string }

func lossName(key, field string) string { return key + ":" + field }

// ByGateway finds attached routes by their kind and a Gateway's namespace/name.
func ByGateway(_ string, a *Attached) []string {
	var keys []string
	for _, p := range a.Parents {
		if len(p.Attachment.Listeners) > 0 {
			keys = add(keys, gatewayKey(a.Route.Kind, p.Attachment.Gateway))
		}
	}
	return keys
}

func gatewayKey(kind, gateway string) string { return kind + "|" + gateway }

func add[T comparable](list []T, values ...T) []T {
	for _, v := range values {
		if !slices.Contains(list, v) {
			list = append(list, v)
		}
	}
	return list
}

// claim is what one parentRef asks for.
type claim struct {
	route  *attach.Route
	parent *Parent
}

// Contest decides between the HTTPRoutes and the GRPCRoutes of a Gateway: where hostnames of the two kinds intersect on a
// listener, the route that precedes has it (GRPCRouteSpec.hostnames). A parentRef that loses one of its listeners loses
// all, so that its Accepted condition is true of each. A route claims its hostnames even where its rules are refused,
// since they are in the plan and answer 500.
func Contest(r *derive.Reader, routes *derive.Index[*Attached], g *attach.Gateway) map[string]*Loss {
	calls := derive.Select(r, routes, gatewayKey(attach.KindGRPCRoute, g.Name))
	if len(calls) == 0 { // HTTPRoutes, which may be many, are not even looked at
		return nil
	}
	var claims []claim
	for _, a := range append(calls, derive.Select(r, routes, gatewayKey(attach.KindHTTPRoute, g.Name))...) {
		for i := range a.Parents {
			if p := &a.Parents[i]; p.Attachment.Gateway == g.Name && len(p.Attachment.Listeners) > 0 {
				claims = append(claims, claim{a.Route, p})
			}
		}
	}
	slices.SortStableFunc(claims, func(a, b claim) int {
		return cmp.Or(attach.Precede(a.route, b.route), strings.Compare(a.route.Kind, b.route.Kind))
	})
	held := holders{}
	for _, l := range g.Listeners {
		held[l.Name] = &listenerHolders{hostname: l.Hostname, kinds: map[string]*holding{}}
	}
	losses := map[string]*Loss{}
	routesByKey := map[string]*attach.Route{}
	for _, c := range claims {
		key := plan.ObjectName(c.route.Kind, c.route.GetNamespace(), c.route.GetName())
		routesByKey[key] = c.route
		if loss := held.loss(c); loss != nil {
			loss.Why = why(routesByKey[loss.Winner], c.route)
			losses[lossName(key, c.parent.Field)] = loss
			continue
		}
		for _, parent := range c.parent.Attachment.Listeners {
			held[parent.Listener].of(c.route.Kind).take(key, held[parent.Listener].hostnames(c.route))
		}
	}
	return losses
}

// why says what a route precedes another by, in the order of what decides.
func why(winner, loser *attach.Route) string {
	created := winner.GetCreationTimestamp()
	switch {
	case created.Time.Before(loser.GetCreationTimestamp().Time):
		return "it is older"
	case winner.GetNamespace() != loser.GetNamespace() || winner.GetName() != loser.GetName():
		return "first by namespace and name"
	}
	return "first by kind, the names being the same"
}

// holders are the routes that hold hostnames on a Gateway's listeners.
type holders map[string]*listenerHolders

type listenerHolders struct {
	hostname string
	kinds    map[string]*holding
}

func (h holders) loss(c claim) *Loss {
	for _, parent := range c.parent.Attachment.Listeners {
		l := h[parent.Listener]
		for _, other := range []string{attach.KindHTTPRoute, attach.KindGRPCRoute} {
			if other == c.route.Kind {
				continue
			}
			for _, name := range l.hostnames(c.route) {
				if winner := l.of(other).holder(name); winner != "" {
					return &Loss{Winner: winner, Listener: parent.Listener}
				}
			}
		}
	}
	return nil
}

func (l *listenerHolders) of(kind string) *holding {
	if l.kinds[kind] == nil {
		l.kinds[kind] = &holding{names: map[string]string{}, below: map[string]string{}}
	}
	return l.kinds[kind]
}

// hostnames are a route's that count on the listener; one empty name where it has none.
func (l *listenerHolders) hostnames(route *attach.Route) []string {
	var names []string
	for _, name := range hostnames(route.Hostnames) {
		if attach.Intersect(l.hostname, name) {
			names = append(names, name)
		}
	}
	if len(route.Hostnames) == 0 {
		names = append(names, "")
	}
	return names
}

// holding is what the routes of one kind hold of a listener: by hostname, the first that took it. The look-up costs as
// many steps as the hostname has labels, for routes may be thousands.
type holding struct {
	any   string            // the first of all
	whole string            // the first without hostnames
	names map[string]string // exact, and wildcards as written
	below map[string]string // by wildcard: the first that holds it, or a name below it
}

func (h *holding) take(route string, names []string) {
	h.any = cmp.Or(h.any, route)
	for _, name := range names {
		if name == "" {
			h.whole = cmp.Or(h.whole, route)
			continue
		}
		h.names[name] = cmp.Or(h.names[name], route)
		for wildcard := range wildcards(name) {
			h.below[wildcard] = cmp.Or(h.below[wildcard], route)
		}
	}
}

// holder is a route that holds some host name that the hostname stands for; empty where there is none.
func (h *holding) holder(name string) string {
	if name == "" {
		return h.any
	}
	if found := cmp.Or(h.whole, h.names[name], h.below[name]); found != "" {
		return found
	}
	for wildcard := range wildcards(name) {
		if found := h.names[wildcard]; found != "" {
			return found
		}
	}
	return ""
}

// wildcards are those that a hostname lies within, itself among them where it is one.
func wildcards(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for at := strings.IndexByte(name, '.'); at >= 0; {
			if !yield("*" + name[at:]) {
				return
			}
			next := strings.IndexByte(name[at+1:], '.')
			if next < 0 {
				return
			}
			at += 1 + next
		}
	}
}
