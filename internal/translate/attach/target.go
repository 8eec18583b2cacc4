package attach

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
)

// Target is what became of one targetRef.
type Target struct {
	Ref    gwapiv1.LocalPolicyTargetReferenceWithSectionName
	Field  string
	Object string      // plan name of the object named, sections aside
	Plan   plan.Target // its Name is empty where the policy is not attached
	List   Problems
}

// Attached reports whether the policy is attached to the target, be it conflicted.
func (t *Target) Attached() bool { return t.Plan.Name != "" }

// Winning reports whether the policy is attached to the target and holds it.
func (t *Target) Winning() bool { return t.Attached() && !t.Plan.Conflicted }

// Targets resolves the targetRefs of a policy: each must name an object that exists and that the kind may attach to,
// and only the policy that precedes holds a target that several of a kind name.
func (in *Inputs) Targets(r *derive.Reader, gateways *derive.Collection[*Gateway], key string, p Policy) []*Target {
	var targets []*Target
	for i, ref := range p.Object.TargetReferences() {
		t := &Target{Ref: ref, Field: fmt.Sprintf("spec.targetRefs[%d]", i), List: Problems{Object: key}}
		in.resolve(r, gateways, t, p)
		if t.Attached() && p.Kind.Refuses != nil {
			in.refuse(r, t, p)
		}
		if t.Winning() {
			in.contest(r, t, p)
		}
		targets = append(targets, t)
	}
	return targets
}

func (in *Inputs) resolve(r *derive.Reader, gateways *derive.Collection[*Gateway], t *Target, p Policy) {
	kind, ok := targetKind(t.Ref)
	t.Object = plan.ObjectName(string(t.Ref.Kind), p.Object.GetNamespace(), string(t.Ref.Name))
	if kind == plan.TargetClass {
		t.Object = plan.ObjectName(string(t.Ref.Kind), "", string(t.Ref.Name))
	}
	switch {
	case !ok || !slices.Contains(p.Kind.Attach, kind):
		what := string(t.Ref.Kind)
		if section(t.Ref) != "" {
			what += " with sectionName"
		}
		t.List.Add(Accepted, string(gwapiv1.PolicyReasonInvalid), t.Field, fmt.Sprintf("%s cannot have %s as its target", p.Kind.Name, what),
			"name one of: "+kindNames(p.Kind.Attach))
		return
	case kind == plan.TargetClass && p.Object.GetNamespace() != in.ControllerNamespace:
		t.List.Add(Accepted, string(gwapiv1.PolicyReasonInvalid), t.Field, "a GatewayClass is the target of policies of namespace "+in.ControllerNamespace+" alone",
			"target a Gateway, or move the policy to namespace "+in.ControllerNamespace)
		return
	}
	name, exists := in.find(r, gateways, kind, t)
	switch {
	case !exists:
		t.List.Add(Accepted, string(gwapiv1.PolicyReasonTargetNotFound), t.Field, Words(t.Object)+" does not exist, or is not served by Ebbgate",
			"name an object of the policy's own namespace")
	case name == "" && kind == plan.TargetPort:
		t.List.Add(Accepted, string(gwapiv1.PolicyReasonTargetNotFound), t.Field+".sectionName",
			fmt.Sprintf("%s has no port named %s", Words(t.Object), section(t.Ref)), "name a port of the Service's spec.ports by its name")
	case name == "":
		t.List.Add(Accepted, string(gwapiv1.PolicyReasonTargetNotFound), t.Field+".sectionName",
			fmt.Sprintf("%s has no section named %s", Words(t.Object), section(t.Ref)), "name a listener of the Gateway or a named rule of the route")
	default:
		t.Plan = plan.Target{Kind: kind, Name: name}
	}
}

// find is the plan name of a target, empty where its section does not exist.
func (in *Inputs) find(r *derive.Reader, gateways *derive.Collection[*Gateway], kind plan.TargetKind, t *Target) (name string, exists bool) {
	switch kind {
	case plan.TargetClass:
		return string(t.Ref.Name), in.Class(r, string(t.Ref.Name)) == ClassOurs
	case plan.TargetGateway, plan.TargetListener:
		g, ok := derive.Get(r, gateways, strings.TrimPrefix(t.Object, "Gateway/"))
		switch {
		case !ok:
			return "", false
		case kind == plan.TargetGateway:
			return g.Name, true
		case slices.ContainsFunc(g.Listeners, func(l Listener) bool { return l.Name == section(t.Ref) }):
			return g.Name + "#" + section(t.Ref), true
		}
		return "", true
	case plan.TargetRoute, plan.TargetRule:
		route, ok := derive.Get(r, in.Routes.Collection, t.Object)
		if !ok || kind == plan.TargetRoute {
			return t.Object, ok
		}
		for i, rule := range route.Rules {
			if rule.Name != nil && string(*rule.Name) == section(t.Ref) {
				return fmt.Sprintf("%s#%d", t.Object, i), true
			}
		}
		return "", true
	}
	if kind == plan.TargetPort {
		service, ok := derive.Get(r, in.Services.Collection, t.Object)
		if !ok {
			return "", false
		}
		for _, port := range service.Spec.Ports {
			if port.Name == section(t.Ref) {
				return fmt.Sprintf("%s:%d", t.Object, port.Port), true
			}
		}
		return "", true
	}
	switch t.Ref.Kind {
	case "Service":
		_, exists = derive.Get(r, in.Services.Collection, t.Object)
	case "XBackend":
		_, exists = derive.Get(r, in.XBackends.Collection, t.Object)
	default:
		_, exists = derive.Get(r, in.Backends.Collection, t.Object)
	}
	return t.Object, exists
}

// refuse asks the kind about a backend that it does not take.
func (in *Inputs) refuse(r *derive.Reader, t *Target, p Policy) {
	var object runtime.Object
	if b, ok := derive.Get(r, in.Backends.Collection, t.Object); ok {
		object = b
	} else if x, ok := derive.Get(r, in.XBackends.Collection, t.Object); ok {
		object = x
	} else {
		return
	}
	reason, message, mend := p.Kind.Refuses(object)
	if reason == "" {
		return
	}
	if t.Plan.Conflicted = reason == gwapiv1.PolicyReasonConflicted; !t.Plan.Conflicted {
		t.Plan = plan.Target{}
	}
	t.List.Add(Accepted, string(reason), t.Field, message, mend)
}

// contest decides between the policies of one kind that name one target.
func (in *Inputs) contest(r *derive.Reader, t *Target, p Policy) {
	for _, other := range derive.Select(r, in.policiesByTarget, in.claim(p, t.Ref)) {
		if Precede(other.Object, p.Object) < 0 {
			t.Plan.Conflicted = true
			t.List.Add(Accepted, string(gwapiv1.PolicyReasonConflicted), t.Field,
				fmt.Sprintf("%s %s/%s precedes it on %s; its own settings have no effect there, its restrictions hold", p.Kind.Name,
					other.Object.GetNamespace(), other.Object.GetName(), Words(t.Object)), "merge the two policies into one")
			return
		}
	}
}

// claims are the targets that a policy names, in a form that is the same for every policy that names them.
func (in *Inputs) claims(p Policy) []string {
	var keys []string
	for _, ref := range p.Object.TargetReferences() {
		if key := in.claim(p, ref); key != "" && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func (in *Inputs) claim(p Policy, ref gwapiv1.LocalPolicyTargetReferenceWithSectionName) string {
	namespace := p.Object.GetNamespace()
	if kind, _ := targetKind(ref); kind == plan.TargetClass && namespace != in.ControllerNamespace {
		return "" // not permitted, so it takes the class from nobody
	}
	return claim(p.Kind.Name, namespace, ref)
}

func claim(kind, namespace string, ref gwapiv1.LocalPolicyTargetReferenceWithSectionName) string {
	return strings.Join([]string{kind, string(ref.Group), string(ref.Kind), namespace, string(ref.Name), section(ref)}, "|")
}

// Named reports whether a policy of a kind names a port of a Service as its target, by itself or with the whole Service,
// whatever becomes of the policy.
func (in *Inputs) Named(r *derive.Reader, kind, namespace, service, port string) bool {
	ref := gwapiv1.LocalPolicyTargetReferenceWithSectionName{LocalPolicyTargetReference: gwapiv1.LocalPolicyTargetReference{Kind: "Service", Name: gwapiv1.ObjectName(service)}}
	named := derive.Count(r, in.policiesByTarget, claim(kind, namespace, ref))
	if port != "" {
		ref.SectionName = new(gwapiv1.SectionName(port))
		named += derive.Count(r, in.policiesByTarget, claim(kind, namespace, ref))
	}
	return named > 0
}

func targetKind(ref gwapiv1.LocalPolicyTargetReferenceWithSectionName) (plan.TargetKind, bool) {
	whole := section(ref) == ""
	switch (gwapiv1.LocalPolicyTargetReference{Group: ref.Group, Kind: ref.Kind}) {
	case gwapiv1.LocalPolicyTargetReference{Group: gwapiv1.GroupName, Kind: "GatewayClass"}:
		return plan.TargetClass, whole
	case gwapiv1.LocalPolicyTargetReference{Group: gwapiv1.GroupName, Kind: "Gateway"}:
		if !whole {
			return plan.TargetListener, true
		}
		return plan.TargetGateway, true
	case gwapiv1.LocalPolicyTargetReference{Group: gwapiv1.GroupName, Kind: KindHTTPRoute},
		gwapiv1.LocalPolicyTargetReference{Group: gwapiv1.GroupName, Kind: KindGRPCRoute}:
		if !whole {
			return plan.TargetRule, true
		}
		return plan.TargetRoute, true
	case gwapiv1.LocalPolicyTargetReference{Group: Group, Kind: "Backend"}, gwapiv1.LocalPolicyTargetReference{Group: StandardGroup, Kind: "XBackend"},
		gwapiv1.LocalPolicyTargetReference{Kind: "Service"}:
		if !whole && ref.Kind == "Service" {
			return plan.TargetPort, true
		}
		return plan.TargetBackend, whole
	}
	return "", false
}

func section(ref gwapiv1.LocalPolicyTargetReferenceWithSectionName) string {
	return Or(ref.SectionName, "")
}

func kindNames(kinds []plan.TargetKind) string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return strings.Join(names, ", ")
}
