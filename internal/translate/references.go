package translate

import (
	"fmt"
	"slices"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/derive"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
	"github.com/ebbgate/ebbgate/internal/translate/backend"
)

// references resolves what a policy refers to, and collects what is wrong there.
type references struct {
	r        *derive.Reader
	g        *graph
	in       *attach.Inputs
	from     attach.Party
	targets  []*attach.Target
	problems attach.Problems
	needs    []string // Secrets and ConfigMaps
	backends []string
}

// Secret is the plan name of a Secret that has the key, and empty where it may not be used. What the checks find wrong is
// reported without the value.
func (refs *references) Secret(field, namespace, name, key string, checks ...func(value []byte) string) string {
	if namespace == "" {
		namespace = refs.from.Namespace
	}
	secret, planName, wrong := refs.in.Secret(refs.r, refs.from, namespace, name, "SecretNotFound")
	if wrong != nil {
		refs.problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return ""
	}
	value := attach.Data(secret)[key]
	if len(value) == 0 {
		refs.problems.Add(attach.ResolvedRefs, "SecretKeyNotFound", field, fmt.Sprintf("Secret %s/%s has no key %s, or nothing in it", namespace, name, key),
			"write the key into the Secret, or name one that it has")
		return ""
	}
	for _, check := range checks {
		if what := check(value); what != "" {
			refs.problems.Add(attach.ResolvedRefs, "InvalidSecret", field, fmt.Sprintf("the key %s of Secret %s/%s %s", key, namespace, name, what),
				"write the value alone into the key: one line, with nothing around it")
			break
		}
	}
	refs.need(planName)
	return planName
}

// Authorities are the plan names of what holds CA certificates; of the list, those that can be used.
func (refs *references) Authorities(field string, list []gwapiv1.LocalObjectReference) []string {
	var names []string
	for i, ref := range list {
		to := attach.Party{Group: string(ref.Group), Kind: string(ref.Kind), Namespace: refs.from.Namespace, Name: string(ref.Name)}
		name, wrong := refs.in.Authorities(refs.r, refs.from, to,
			string(gwapiv1.BackendTLSPolicyReasonInvalidCACertificateRef), string(gwapiv1.BackendTLSPolicyReasonInvalidKind))
		if wrong != nil {
			refs.problems.Add(attach.ResolvedRefs, wrong.Reason, fmt.Sprintf("%s[%d]", field, i), wrong.Message, wrong.Mend)
			continue
		}
		names = append(names, name)
	}
	if len(list) > 0 && len(names) == 0 {
		refs.problems.Add(attach.Accepted, string(gwapiv1.BackendTLSPolicyReasonNoValidCACertificate), field,
			"none of the CA certificates can be used", "name a ConfigMap with certificates under ca.crt")
	}
	refs.need(names...)
	return names
}

// KeyPair is the plan name of a Secret that holds a certificate and its key, and empty where it may not be used.
func (refs *references) KeyPair(field, namespace, name string) string {
	if namespace == "" {
		namespace = refs.from.Namespace
	}
	pair, wrong := refs.in.KeyPair(refs.r, refs.from, namespace, name, string(gwapiv1.GatewayReasonInvalidClientCertificateRef))
	if wrong != nil {
		refs.problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return ""
	}
	refs.need(pair)
	return pair
}

// Backend is a destination as the plan has it, and nil where it may not be used.
func (refs *references) Backend(field string, ref gwapiv1.BackendObjectReference) *plan.Backend {
	named, wrong := backend.Resolve(refs.r, refs.in, refs.from, &ref)
	if wrong != nil {
		refs.problems.Add(attach.ResolvedRefs, wrong.Reason, field, wrong.Message, wrong.Mend)
		return nil
	}
	refs.backends = append(refs.backends, named.Name)
	return refs.g.planned(refs.r, named.Name)
}

// Rules are those that the policy is attached to.
func (refs *references) Rules() []*plan.Rule {
	var rules []*plan.Rule
	for _, t := range refs.targets {
		if t.Plan.Kind != plan.TargetRoute && t.Plan.Kind != plan.TargetRule {
			continue
		}
		if route, ok := derive.Get(refs.r, refs.g.routes, t.Object); ok {
			for _, rule := range route.Rules {
				if t.Plan.Name == rule.Route || t.Plan.Name == rule.Name {
					rules = append(rules, rule)
				}
			}
		}
	}
	return rules
}

func (refs *references) need(names ...string) {
	for _, name := range names {
		if !slices.Contains(refs.needs, name) {
			refs.needs = append(refs.needs, name)
		}
	}
}

// blocking are the problems that keep the policy from being in force: all that are no warning, but for references that
// lead nowhere where the kind deals with those itself.
func (refs *references) blocking(partial bool) []problem.Problem {
	var list []problem.Problem
	for _, p := range refs.problems.List {
		if !p.Warning && !(partial && p.Condition == attach.ResolvedRefs) {
			list = append(list, p)
		}
	}
	return list
}

// Invalid notes a value that the kind cannot use.
func (refs *references) Invalid(field, message, mend string) {
	refs.problems.Add(attach.Accepted, string(gwapiv1.PolicyReasonInvalid), field, message, mend)
}

// Warn notes a value that hardly does what was meant.
func (refs *references) Warn(field, message, mend string) {
	refs.problems.Warn("", string(gwapiv1.PolicyReasonInvalid), field, message, mend)
}

// Ineffective notes a value without effect.
func (refs *references) Ineffective(field, message, mend string) {
	refs.problems.Warn(attach.Effective, attach.NoEffect, field, message, mend)
}

// Standalone reports that there is no Kubernetes.
func (refs *references) Standalone() bool { return !refs.in.Kubernetes }
