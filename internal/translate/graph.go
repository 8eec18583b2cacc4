package translate

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
	"github.com/ebbgate/ebbgate/internal/translate/backend"
	"github.com/ebbgate/ebbgate/internal/translate/gateway"
	"github.com/ebbgate/ebbgate/internal/translate/route"
)

// graph holds the derivations in their order: Gateways, routes on them, the backends that routes use, policies on all
// of these, the secrets that any of these name, and then the verdicts, which need the rest.
type graph struct {
	*derive.Graph
	in *attach.Inputs

	checked        *derive.Collection[*gateway.Checked]
	bound          *derive.Collection[*gateway.Bound]
	views          *derive.Collection[*attach.Gateway]
	routes         *derive.Collection[*route.Translated]
	uses           *derive.Collection[*route.Use]
	destinations   *derive.Collection[*backend.Translated] // Backends
	standard       *derive.Collection[*backend.Translated] // XBackends
	services       *derive.Collection[*backend.Ports]
	policyResults  *derive.Collection[*policyResult]
	viewsByClass   *derive.Index[*attach.Gateway]
	usesByBackend  *derive.Index[*route.Use]
	usesByListener *derive.Index[*route.Use]
	usesByGateway  *derive.Index[*route.Use]
	winners        *derive.Index[*policyResult] // by the object they hold as target
	holders        *derive.Index[*policyResult] // by the object that they are attached to, held or not

	policiesByBackend *derive.Index[*policyResult] // that they name

	gateways *derive.Ordered[*plan.Gateway, *plan.Gateway]
	rules    *derive.Ordered[*plan.Rule, *plan.Rule]
	backends *derive.Ordered[*plan.Backend, *plan.Backend]
	policies *derive.Ordered[*plan.Policy, *plan.Policy]
	secrets  *derive.Ordered[*plan.Secret, *plan.Secret]
	verdicts *derive.Ordered[*attach.Verdict, *attach.Verdict]
}

type stamp func(key string, v *attach.Verdict, last **attach.Verdict) *attach.Verdict

func newGraph(config Config, stamp stamp) *graph {
	g := &graph{Graph: derive.NewGraph()}
	ceilings := gateway.NewCeilings()
	g.in = attach.NewInputs(g.Graph, config.Kubernetes, config.ControllerNamespace, config.ClusterName)
	g.in.Ceilings = derive.Derive(g.Graph, "class parameters", g.in.Classes.Collection, func(r *derive.Reader, key string, class *gwapiv1.GatewayClass) map[string]*attach.Ceiling {
		return ceilings.Find(r, g.in, key, class)
	})
	g.deriveGateways(config.Local)
	g.deriveRoutes()
	g.deriveBackends()
	g.derivePolicies()
	g.deriveSecrets()
	g.deriveVerdicts(stamp)
	return g
}

func (g *graph) deriveGateways(local bool) {
	g.checked = derive.Derive(g.Graph, "gateways", g.in.Gateways.Collection, func(r *derive.Reader, key string, object *gwapiv1.Gateway) map[string]*gateway.Checked {
		return gateway.Check(r, g.in, key, object)
	})
	ports := derive.NewIndex(g.checked, gateway.Ports)
	g.bound = derive.Derive(g.Graph, "bound gateways", g.checked, func(r *derive.Reader, key string, c *gateway.Checked) map[string]*gateway.Bound {
		return gateway.Bind(r, g.in, ports, local, key, c)
	})
	planned := derive.Derive(g.Graph, "plan gateways", g.bound, func(_ *derive.Reader, _ string, b *gateway.Bound) map[string]*plan.Gateway {
		return gateway.Planned(b)
	})
	g.views = derive.Derive(g.Graph, "listeners", g.bound, func(_ *derive.Reader, _ string, b *gateway.Bound) map[string]*attach.Gateway {
		return map[string]*attach.Gateway{b.View.Name: b.View}
	})
	g.viewsByClass = derive.NewIndex(g.views, attach.ByClass)
	g.gateways = derive.NewOrdered(keep[*plan.Gateway], planned)
}

func (g *graph) deriveRoutes() {
	attached := derive.Derive(g.Graph, "attached routes", g.in.Routes.Collection, func(r *derive.Reader, key string, object *attach.Route) map[string]*route.Attached {
		return route.Attach(r, g.in, g.views, key, object)
	})
	attachedByGateway := derive.NewIndex(attached, route.ByGateway)
	losses := derive.Derive(g.Graph, "contests", g.views, func(r *derive.Reader, _ string, view *attach.Gateway) map[string]*route.Loss {
		return route.Contest(r, attachedByGateway, view)
	})
	g.routes = derive.Derive(g.Graph, "routes", attached, func(r *derive.Reader, key string, a *route.Attached) map[string]*route.Translated {
		return route.Translate(r, g.in, losses, key, a)
	})
	g.uses = derive.Derive(g.Graph, "uses", g.routes, func(_ *derive.Reader, key string, t *route.Translated) map[string]*route.Use {
		return map[string]*route.Use{key: &t.Use}
	})
	g.usesByBackend = derive.NewIndex(g.uses, route.ByBackend)
	g.usesByListener = derive.NewIndex(g.uses, route.ByListener)
	g.usesByGateway = derive.NewIndex(g.uses, route.UsesByGateway)
	planned := derive.Derive(g.Graph, "plan rules", g.routes, func(_ *derive.Reader, _ string, t *route.Translated) map[string]*plan.Rule {
		return route.Rules(t)
	})
	g.rules = derive.NewOrdered(keep[*plan.Rule], planned)
}

func (g *graph) deriveBackends() {
	g.destinations = derive.Derive(g.Graph, "backends", g.in.Backends.Collection, func(r *derive.Reader, key string, object *v1alpha1.Backend) map[string]*backend.Translated {
		return backend.Translate(r, g.in, key, object)
	})
	g.standard = derive.Derive(g.Graph, "xbackends", g.in.XBackends.Collection, func(r *derive.Reader, key string, object *unstructured.Unstructured) map[string]*backend.Translated {
		return backend.TranslateStandard(r, g.in, key, object)
	})
	used := func(r *derive.Reader, name string) bool { return derive.Count(r, g.usesByBackend, name) > 0 }
	g.services = derive.Derive(g.Graph, "services", g.in.Services.Collection, func(r *derive.Reader, key string, object *corev1.Service) map[string]*backend.Ports {
		return backend.TranslateService(r, g.in, used, key, object)
	})
	planned := func(_ *derive.Reader, key string, t *backend.Translated) map[string]*plan.Backend {
		return map[string]*plan.Backend{key: t.Plan}
	}
	own := derive.Derive(g.Graph, "plan backends", g.destinations, planned)
	standard := derive.Derive(g.Graph, "plan xbackends", g.standard, planned)
	ports := derive.Derive(g.Graph, "plan services", g.services, func(_ *derive.Reader, _ string, p *backend.Ports) map[string]*plan.Backend {
		list := map[string]*plan.Backend{}
		for _, b := range p.Plans {
			list[b.Name] = b
		}
		return list
	})
	g.backends = derive.NewOrdered(keep[*plan.Backend], own, standard, ports)
}

// destination is a translated Backend or XBackend.
func (g *graph) destination(r *derive.Reader, name string) (*backend.Translated, bool) {
	if t, ok := derive.Get(r, g.destinations, name); ok {
		return t, true
	}
	return derive.Get(r, g.standard, name)
}

// deriveSecrets makes the plan's Secrets of those that Gateways, Backends and policies name.
func (g *graph) deriveSecrets() {
	byGateway := derive.NewIndex(g.checked, gateway.Needs)
	byBackend := derive.NewIndex(g.destinations, backend.Needs)
	byStandard := derive.NewIndex(g.standard, backend.Needs)
	byPolicy := derive.NewIndex(g.policyResults, func(_ string, p *policyResult) []string { return p.needs })
	secret := func(r *derive.Reader, key string, data func() map[string][]byte) map[string]*plan.Secret {
		if derive.Count(r, byGateway, key)+derive.Count(r, byBackend, key)+derive.Count(r, byStandard, key)+derive.Count(r, byPolicy, key) == 0 {
			return nil
		}
		s := &plan.Secret{Name: key, Data: map[string]plan.Sensitive{}}
		for name, value := range data() {
			s.Data[name] = plan.NewSensitive(value)
		}
		return map[string]*plan.Secret{key: s}
	}
	secrets := derive.Derive(g.Graph, "secrets", g.in.Secrets.Collection, func(r *derive.Reader, key string, object *corev1.Secret) map[string]*plan.Secret {
		return secret(r, key, func() map[string][]byte { return attach.Data(object) })
	})
	configs := derive.Derive(g.Graph, "configmaps", g.in.ConfigMaps.Collection, func(r *derive.Reader, key string, object *corev1.ConfigMap) map[string]*plan.Secret {
		return secret(r, key, func() map[string][]byte { return attach.ConfigData(object) })
	})
	g.secrets = derive.NewOrdered(keep[*plan.Secret], secrets, configs)
}

// planned is a destination as the plan has it; of a Service, what is the same for every port.
func (g *graph) planned(r *derive.Reader, name string) *plan.Backend {
	if t, ok := g.destination(r, name); ok {
		return t.Plan
	}
	return &plan.Backend{Name: name, Origin: plan.Endpoints, Protocol: plan.HTTP}
}

// reaching are the Gateways that reach a backend: through routes, or because a policy on them, or on a backend that they
// reach through routes, names it.
func (g *graph) reaching(r *derive.Reader, name string) []string {
	gateways := map[string]struct{}{}
	g.routed(r, name, gateways)
	for _, p := range derive.Select(r, g.policiesByBackend, name) {
		for _, t := range p.targets {
			switch t.Plan.Kind {
			case plan.TargetBackend, plan.TargetPort:
				g.routed(r, t.Plan.Name, gateways)
			default:
				for _, gateway := range g.concerned(r, t) {
					gateways[gateway] = struct{}{}
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(gateways))
}

// routed adds the Gateways that reach a backend through routes.
func (g *graph) routed(r *derive.Reader, name string, gateways map[string]struct{}) {
	for _, use := range derive.Select(r, g.usesByBackend, name) {
		for _, gateway := range use.Gateways {
			gateways[gateway] = struct{}{}
		}
	}
}

func keep[T any](_ string, value T, _ *T) T { return value }
