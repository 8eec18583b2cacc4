package schema

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// slip is how many bytes of a group's or kind's name may differ for it to be taken for another one misspelt.
const slip = 2

// Serves says whether objects of a group, version and kind can be checked, and, of those that cannot, whether that is a
// mistake for Check to tell, or somebody else's kind: what is ignored as foreign must be no guardrail misspelt. A mistake
// is an unknown kind of a CRD group that we serve, any kind of a group almost called so, a kind of the CRDs that we serve
// under another group, a kind of a core group almost called like one that we read, and an unknown version of any of them.
func (v *Validator) Serves(gvk schema.GroupVersionKind) (known, mistaken bool) {
	if k := v.kinds[gvk.GroupKind()]; k != nil && slices.Contains(k.versions, gvk.Version) {
		return true, false
	}
	return false, v.kinds[gvk.GroupKind()] != nil || v.groups[gvk.Group] || v.nearGroup(gvk.Group) != "" ||
		v.elsewhere(gvk) != nil || v.nearCore(gvk) != nil
}

// ListOf is the kind whose objects a list kind of Kubernetes' API holds, as BackendList holds Backends; empty where gvk is
// no list of a kind that we read.
func (v *Validator) ListOf(gvk schema.GroupVersionKind) string {
	member, isList := strings.CutSuffix(gvk.Kind, "List")
	if isList && v.kinds[schema.GroupKind{Group: gvk.Group, Kind: member}] != nil {
		return member
	}
	return ""
}

// unserved says what is wrong with a group, version and kind that we do not read.
func (v *Validator) unserved(gvk schema.GroupVersionKind) Issue {
	if k := v.kinds[gvk.GroupKind()]; k != nil {
		return Issue{
			Field:   "apiVersion",
			Problem: fmt.Sprintf("%s is not served in version %q", gvk.Kind, gvk.Version),
			Mend:    "write " + k.apiVersion(),
		}
	}
	if k := v.elsewhere(gvk); k != nil {
		issue := Issue{
			Field:   "apiVersion",
			Problem: fmt.Sprintf("group %q has no kind %s that Ebbgate reads", gvk.Group, gvk.Kind),
			Mend:    "write " + k.apiVersion(),
		}
		if !v.groups[gvk.Group] && !core(gvk.Group) {
			issue.Mend = "did you mean " + k.apiVersion() + "? Objects of other products belong in another folder"
		}
		if v.nearGroup(gvk.Group) != "" {
			issue.Mend = "did you mean " + k.apiVersion() + "?"
		}
		return issue
	}
	if near := v.nearGroup(gvk.Group); near != "" {
		return Issue{
			Field:   "apiVersion",
			Problem: fmt.Sprintf("group %q is none that Ebbgate reads", gvk.Group),
			Mend:    "did you mean " + v.groupVersion(near) + "?",
		}
	}
	var here []string
	for gk := range v.kinds {
		if gk.Group == gvk.Group {
			here = append(here, gk.Kind)
		}
	}
	return Issue{
		Field:   "kind",
		Problem: fmt.Sprintf("%s is not a kind that Ebbgate reads", gvk.Kind),
		Mend:    choose(gvk.Kind, here, "kinds of this group"),
	}
}

func (k *kind) apiVersion() string {
	return schema.GroupVersion{Group: k.Group, Version: k.versions[0]}.String()
}

// groupVersion is an apiVersion of a group: its kinds' preferred one that sorts first.
func (v *Validator) groupVersion(group string) string {
	best := ""
	for gk, k := range v.kinds {
		if written := k.apiVersion(); gk.Group == group && (best == "" || written < best) {
			best = written
		}
	}
	return best
}

func core(group string) bool { return group == corev1.GroupName || group == discoveryv1.GroupName }

// nearGroup is the group that we serve and that another is a misspelling of, or empty. The core group has no name that
// one could misspell.
func (v *Validator) nearGroup(group string) string {
	best, bestDistance := "", slip+1
	for gk := range v.kinds {
		if gk.Group == "" || group == "" {
			continue
		}
		d := distance(strings.ToLower(group), gk.Group)
		if d > 0 && (d < bestDistance || d == bestDistance && gk.Group < best) {
			best, bestDistance = gk.Group, d
		}
	}
	if v.groups[group] || core(group) {
		return ""
	}
	return best
}

// elsewhere is the kind of the same name that we serve in another group. Kinds of the core groups count within those
// alone, as others may have a Service of their own.
func (v *Validator) elsewhere(gvk schema.GroupVersionKind) *kind {
	var found *kind
	for gk, k := range v.kinds {
		if gk.Group == gvk.Group || !strings.EqualFold(gk.Kind, gvk.Kind) || core(gk.Group) && !core(gvk.Group) && !v.groups[gvk.Group] {
			continue
		}
		if found == nil || gk.Group < found.Group {
			found = k
		}
	}
	return found
}

// nearCore is the kind of a core group that another is a misspelling of. Kubernetes has no kind so close to ours.
func (v *Validator) nearCore(gvk schema.GroupVersionKind) *kind {
	if !core(gvk.Group) {
		return nil
	}
	for gk, k := range v.kinds {
		if gk.Group == gvk.Group && distance(strings.ToLower(gk.Kind), strings.ToLower(gvk.Kind)) <= slip {
			return k
		}
	}
	return nil
}
