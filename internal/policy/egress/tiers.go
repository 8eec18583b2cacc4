package egress

import (
	"fmt"
	"strings"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// tiers reads the tiers of a route, as plan names of what its rules route to. They refer to nothing by themselves: whether
// a backend is there and may be used is the rule's business.
func tiers(refs policy.References, object *v1alpha1.EgressPolicy) [][]string {
	written := object.Spec.Tiers
	if len(written) == 0 {
		return nil
	}
	rules := refs.Rules()
	list := make([][]string, len(written))
	listed := map[string]bool{}
	for i := range written {
		for j := range written[i].Backends {
			ref, field := &written[i].Backends[j], fmt.Sprintf("spec.tiers[%d].backends[%d]", i, j)
			name := tierName(object.Namespace, ref)
			found := routed(rules, name)
			if len(found) == 0 {
				found = []string{name}
				if len(rules) > 0 {
					kind, object, _ := strings.Cut(name, "/")
					refs.Ineffective(field, "no rule of the targets routes to "+kind+" "+object, "name it in the backendRefs of a rule, or leave it out here")
				}
			}
			for _, name := range found {
				if listed[name] {
					refs.Invalid(field, "the backend is listed already", "leave it in one tier")
					break
				}
				listed[name] = true
			}
			list[i] = append(list[i], found...)
		}
	}
	if len(rules) > 0 && !choice(rules) {
		refs.Ineffective("spec.tiers", "no rule of the targets has a second backend", "name further ones in the backendRefs of the rule")
	}
	return list
}

// tierName is the plan name of a backend of a tier; a Service's without a port stands for each of its ports.
func tierName(namespace string, ref *v1alpha1.TierBackend) string {
	if ref.Namespace != nil {
		namespace = string(*ref.Namespace)
	}
	name := plan.ObjectName(string(ref.Kind), namespace, string(ref.Name))
	if ref.Port != nil {
		name += fmt.Sprintf(":%d", *ref.Port)
	}
	return name
}

// routed are the backends of rules that a name stands for.
func routed(rules []*plan.Rule, name string) []string {
	var list []string
	seen := map[string]bool{}
	for _, rule := range rules {
		for i := range rule.Backends {
			backend := rule.Backends[i].Backend
			if (backend == name || strings.HasPrefix(backend, name+":")) && !seen[backend] {
				seen[backend] = true
				list = append(list, backend)
			}
		}
	}
	return list
}

// choice reports whether a rule has more backends than one.
func choice(rules []*plan.Rule) bool {
	for _, rule := range rules {
		for i := range rule.Backends {
			if rule.Backends[i].Backend != rule.Backends[0].Backend {
				return true
			}
		}
	}
	return false
}
