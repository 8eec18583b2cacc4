package translate

import (
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapiv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
	"github.com/ebbgate/ebbgate/internal/translate/backend"
)

// inputs brings the sources of the graph from snapshot to snapshot.
type inputs struct {
	*attach.Inputs
	kinds map[string]*policy.Kind
	seen  map[string]source.Object
	ran   map[string]*attach.Fleet
}

func newInputs(in *attach.Inputs, kinds []*policy.Kind) *inputs {
	byName := make(map[string]*policy.Kind, len(kinds))
	for _, kind := range kinds {
		byName[kind.Name] = kind
	}
	return &inputs{Inputs: in, kinds: byName, seen: map[string]source.Object{}, ran: map[string]*attach.Fleet{}}
}

// observe passes on what differs from what ran before. A fleet that says the same is the same.
func (in *inputs) observe(fleets map[string]*attach.Fleet) {
	for key, fleet := range fleets {
		if last := in.ran[key]; last == nil || !reflect.DeepEqual(last, fleet) {
			in.ran[key] = fleet
			in.Fleets.Set(key, fleet)
		}
	}
	for key := range in.ran {
		if fleets[key] == nil {
			delete(in.ran, key)
			in.Fleets.Delete(key)
		}
	}
}

// know passes on Pods, and reports whether a Service leads to one of them.
func (in *inputs) know(pods map[string]*plan.Workload) (concerns bool) {
	for key, pod := range pods {
		last, known := in.Pods.Peek(key)
		concerns = concerns || known && in.Endpoint(last) || pod != nil && in.Endpoint(pod)
		if pod == nil {
			in.Pods.Delete(key)
		} else {
			in.Pods.Set(key, pod)
		}
	}
	return concerns
}

// fill passes on what differs from the former snapshot. An unchanged object has kept its pointer.
func (in *inputs) fill(s *source.Snapshot) {
	for key, object := range s.Objects {
		if last, ok := in.seen[key]; !ok || last != object {
			in.seen[key] = object
			in.set(key, object, s.Unread[key])
		}
	}
	if len(in.seen) == len(s.Objects) {
		return
	}
	for key, object := range in.seen {
		if _, ok := s.Objects[key]; !ok {
			delete(in.seen, key)
			in.delete(key, object)
		}
	}
}

func (in *inputs) set(key string, object source.Object, unread string) {
	if _, was := in.Unread.Peek(key); unread != "" {
		in.Unread.Set(key, unread)
	} else if was {
		in.Unread.Delete(key)
	}
	switch o := object.(type) {
	case *gwapiv1.GatewayClass:
		in.Classes.Set(key, o)
	case *gwapiv1.Gateway:
		in.Gateways.Set(key, o)
	case *gwapiv1.HTTPRoute:
		in.Routes.Set(key, attach.HTTPRoute(o))
	case *gwapiv1.GRPCRoute:
		in.Routes.Set(key, attach.GRPCRoute(o))
	case *gwapiv1.ReferenceGrant:
		in.Grants.Set(key, o)
	case *gwapiv1beta1.ReferenceGrant:
		in.Grants.Set(key, (*gwapiv1.ReferenceGrant)(o))
	case *v1alpha1.Backend:
		in.Backends.Set(key, o)
	case *v1alpha1.GatewayParameters:
		in.Parameters.Set(key, o)
	case *corev1.Namespace:
		in.Namespaces.Set(key, o)
	case *corev1.Service:
		in.Services.Set(key, o)
	case *discoveryv1.EndpointSlice:
		in.Slices.Set(key, o)
	case *corev1.Secret:
		in.Secrets.Set(key, o)
	case *corev1.ConfigMap:
		in.ConfigMaps.Set(key, o)
	case *unstructured.Unstructured: // the one kind without a Go type of its own
		in.XBackends.Set(key, o)
	default:
		if kind := in.kindOf(key); kind != nil && asPolicy(kind, object) != nil {
			in.Policies.Set(key, attach.Policy{Kind: kind, Object: asPolicy(kind, object), Unread: unread})
		} else {
			in.Others.Set(key, object)
		}
	}
}

func (in *inputs) delete(key string, object source.Object) {
	if _, was := in.Unread.Peek(key); was {
		in.Unread.Delete(key)
	}
	switch object.(type) {
	case *gwapiv1.GatewayClass:
		in.Classes.Delete(key)
	case *gwapiv1.Gateway:
		in.Gateways.Delete(key)
	case *gwapiv1.HTTPRoute, *gwapiv1.GRPCRoute:
		in.Routes.Delete(key)
	case *gwapiv1.ReferenceGrant, *gwapiv1beta1.ReferenceGrant:
		in.Grants.Delete(key)
	case *v1alpha1.Backend:
		in.Backends.Delete(key)
	case *v1alpha1.GatewayParameters:
		in.Parameters.Delete(key)
	case *corev1.Namespace:
		in.Namespaces.Delete(key)
	case *corev1.Service:
		in.Services.Delete(key)
	case *discoveryv1.EndpointSlice:
		in.Slices.Delete(key)
	case *corev1.Secret:
		in.Secrets.Delete(key)
	case *corev1.ConfigMap:
		in.ConfigMaps.Delete(key)
	case *unstructured.Unstructured:
		in.XBackends.Delete(key)
	default:
		in.Policies.Delete(key)
		in.Others.Delete(key)
	}
}

func asPolicy(kind *policy.Kind, object source.Object) policy.Object {
	if kind.Object != nil {
		return kind.Object(object)
	}
	p, _ := object.(policy.Object)
	return p
}

func (in *inputs) kindOf(key string) *policy.Kind {
	name, _, _ := strings.Cut(key, "/")
	return in.kinds[name]
}

// status is what an object carries of its own status; nil where it has none.
func (in *inputs) status(key string) *attach.Status {
	switch o := in.seen[key].(type) {
	case *gwapiv1.GatewayClass:
		return &attach.Status{Conditions: o.Status.Conditions}
	case *gwapiv1.Gateway:
		return &attach.Status{Conditions: o.Status.Conditions, Listeners: o.Status.Listeners}
	case *gwapiv1.HTTPRoute:
		return &attach.Status{Parents: o.Status.Parents}
	case *gwapiv1.GRPCRoute:
		return &attach.Status{Parents: o.Status.Parents}
	case *v1alpha1.Backend:
		return &attach.Status{Ancestors: o.Status.Ancestors}
	case *v1alpha1.GatewayParameters:
		return &attach.Status{Ancestors: o.Status.Ancestors}
	case *unstructured.Unstructured:
		return backend.Written(o)
	}
	if kind := in.kindOf(key); kind != nil && in.seen[key] != nil {
		if p := asPolicy(kind, in.seen[key]); p != nil {
			return &attach.Status{Ancestors: p.PolicyStatus().Ancestors}
		}
	}
	return nil
}
