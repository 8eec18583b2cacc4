package attach

import (
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// Status is the status of one object; which lists are filled depends on its kind. Conditions, Addresses, Listeners
// and SupportedFeatures are ours alone; Parents and Ancestors are whole, with other controllers' entries first and as they were.
type Status struct {
	Object     string                         `json:"object"` // plan name
	Conditions []metav1.Condition             `json:"conditions,omitempty"`
	Addresses  []gwapiv1.GatewayStatusAddress `json:"addresses,omitempty"`
	Listeners  []gwapiv1.ListenerStatus       `json:"listeners,omitempty"`
	Parents    []gwapiv1.RouteParentStatus    `json:"parents,omitempty"`
	Ancestors  []gwapiv1.PolicyAncestorStatus `json:"ancestors,omitempty"`

	SupportedFeatures []gwapiv1.SupportedFeature `json:"supportedFeatures,omitempty"` // of a GatewayClass
}

// Verdict is what is said to the user of one object.
type Verdict struct {
	Status   *Status // nil where the object has no status of ours
	Problems []problem.Problem
	Degrades []string // Gateways, as namespace/name, on which the object is broken
}

// Broken finds verdicts by the Gateways that they degrade.
func Broken(_ string, v *Verdict) []string { return v.Degrades }

// maxAncestors is what PolicyStatus has room for.
const maxAncestors = 16

// Ancestors appends our entries to those of other controllers, as far as there is room.
func Ancestors(before []gwapiv1.PolicyAncestorStatus, ours []gwapiv1.PolicyAncestorStatus) []gwapiv1.PolicyAncestorStatus {
	var list []gwapiv1.PolicyAncestorStatus
	for _, entry := range before {
		if entry.ControllerName != Controller {
			list = append(list, entry)
		}
	}
	if room := maxAncestors - len(list); len(ours) > room {
		ours = ours[:max(room, 0)]
	}
	return append(list, ours...)
}

// GatewayAncestor is the entry of a Gateway, as namespace/name.
func GatewayAncestor(gateway string, conditions []metav1.Condition) gwapiv1.PolicyAncestorStatus {
	namespace, name, _ := strings.Cut(gateway, "/")
	return Ancestor(gwapiv1.GroupName, "Gateway", namespace, name, conditions)
}

// Ancestor is our entry for any object.
func Ancestor(group, kind, namespace, name string, conditions []metav1.Condition) gwapiv1.PolicyAncestorStatus {
	g, k := gwapiv1.Group(group), gwapiv1.Kind(kind)
	ref := gwapiv1.ParentReference{Group: &g, Kind: &k, Name: gwapiv1.ObjectName(name)}
	if namespace != "" {
		n := gwapiv1.Namespace(namespace)
		ref.Namespace = &n
	}
	return gwapiv1.PolicyAncestorStatus{AncestorRef: ref, ControllerName: Controller, Conditions: conditions}
}

// Stamp is the status with each condition's lastTransitionTime: the former one's where its status is the same, else
// now. Former are statuses of the object, the one to prefer first.
func (s *Status) Stamp(now metav1.Time, former ...*Status) *Status {
	stamped := *s
	stamped.Conditions = stamp(now, s.Conditions, former, func(f *Status) []metav1.Condition { return f.Conditions })
	stamped.Listeners = make([]gwapiv1.ListenerStatus, len(s.Listeners))
	for i, l := range s.Listeners {
		l.Conditions = stamp(now, l.Conditions, former, func(f *Status) []metav1.Condition { return f.listener(l.Name) })
		stamped.Listeners[i] = l
	}
	stamped.Parents = make([]gwapiv1.RouteParentStatus, len(s.Parents))
	for i, p := range s.Parents {
		if p.ControllerName == Controller {
			p.Conditions = stamp(now, p.Conditions, former, func(f *Status) []metav1.Condition { return f.parent(p.ParentRef) })
		}
		stamped.Parents[i] = p
	}
	stamped.Ancestors = make([]gwapiv1.PolicyAncestorStatus, len(s.Ancestors))
	for i, a := range s.Ancestors {
		if a.ControllerName == Controller {
			a.Conditions = stamp(now, a.Conditions, former, func(f *Status) []metav1.Condition { return f.ancestor(a.AncestorRef) })
		}
		stamped.Ancestors[i] = a
	}
	return &stamped
}

func stamp(now metav1.Time, conditions []metav1.Condition, former []*Status, of func(*Status) []metav1.Condition) []metav1.Condition {
	stamped := make([]metav1.Condition, len(conditions))
	for i, c := range conditions {
		c.LastTransitionTime = now
		for _, f := range former {
			if f == nil {
				continue
			}
			if last, ok := find(of(f), c.Type); ok {
				if last.Status == c.Status && !last.LastTransitionTime.IsZero() {
					c.LastTransitionTime = last.LastTransitionTime
				}
				break
			}
		}
		stamped[i] = c
	}
	return stamped
}

func find(conditions []metav1.Condition, kind string) (metav1.Condition, bool) {
	for _, c := range conditions {
		if c.Type == kind {
			return c, true
		}
	}
	return metav1.Condition{}, false
}

func (s *Status) listener(name gwapiv1.SectionName) []metav1.Condition {
	for _, l := range s.Listeners {
		if l.Name == name {
			return l.Conditions
		}
	}
	return nil
}

func (s *Status) parent(ref gwapiv1.ParentReference) []metav1.Condition {
	for _, p := range s.Parents {
		if p.ControllerName == Controller && reflect.DeepEqual(p.ParentRef, ref) {
			return p.Conditions
		}
	}
	return nil
}

func (s *Status) ancestor(ref gwapiv1.ParentReference) []metav1.Condition {
	for _, a := range s.Ancestors {
		if a.ControllerName == Controller && reflect.DeepEqual(a.AncestorRef, ref) {
			return a.Conditions
		}
	}
	return nil
}
