package controller

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/ebbgate/ebbgate/internal/provision"
	"github.com/ebbgate/ebbgate/internal/source/issuer"
	"github.com/ebbgate/ebbgate/internal/source/pods"
)

const gatewayAPI = "gateway.networking.k8s.io"

var reads = []string{"get", "list", "watch"}

// ClusterRules are the rights that a controller needs in the whole cluster, and no more. What only the replica that leads
// needs is among them.
func ClusterRules() []rbacv1.PolicyRule {
	gateway := []string{
		"backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes",
	}
	experimental := []string{"xbackends", "xbackendtrafficpolicies"}
	own := []string{
		"backends", "credentialinjectors", "dnspolicies", "egresspolicies", "gatewayparameters", "guardrailspolicies", "regionallowlistpolicies",
	}
	rules := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces", "services"}, Verbs: reads},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: reads},
		{APIGroups: []string{gatewayAPI}, Resources: gateway, Verbs: reads},
		{APIGroups: []string{"gateway.networking.x-k8s.io"}, Resources: experimental, Verbs: reads},
		{APIGroups: []string{"ebbgate.dev"}, Resources: own, Verbs: reads},
		// statuses
		{APIGroups: []string{gatewayAPI}, Resources: statuses(gateway), Verbs: []string{"patch"}},
		{APIGroups: []string{"gateway.networking.x-k8s.io"}, Resources: statuses(experimental), Verbs: []string{"patch"}},
		{APIGroups: []string{"ebbgate.dev"}, Resources: statuses(own), Verbs: []string{"patch"}},
		// what proxies deny
		{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "get", "patch"}},
		// who a proxy is
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}, Verbs: []string{"create"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get"}},
		{APIGroups: []string{"apps"}, Resources: []string{"replicasets"}, Verbs: []string{"get"}},
	}
	rules = append(rules, pods.Rules()...)
	rules = append(rules, issuer.Rules()...)
	for _, r := range provision.Rules() { // through informers
		r.Verbs = append(slices.Clone(r.Verbs), "watch")
		rules = append(rules, r)
	}
	return rules
}

// NamespaceRules are those that it needs in its own namespace.
func NamespaceRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"create", "get", "update"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}}, // of no name: a creation has none yet
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{authoritySecret}, Verbs: []string{"get", "update"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"create", "patch"}},
	}
}

// SecretRules are those that it needs in the namespaces whose Secrets it is to read.
func SecretRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: reads}}
}

// statuses are the subresources of kinds that have one; ReferenceGrants have none.
func statuses(resources []string) []string {
	var list []string
	for _, r := range resources {
		if r != "referencegrants" {
			list = append(list, r+"/status")
		}
	}
	return list
}
