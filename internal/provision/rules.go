package provision

import rbacv1 "k8s.io/api/rbac/v1"

// Rules are the rights that an Applier needs in the namespaces of Gateways, and no more. What is applied and is not there
// yet is created; a Service's addresses are tried by a creation that is not carried out. Informers need watch as well.
func Rules() []rbacv1.PolicyRule {
	verbs := []string{"create", "delete", "get", "list", "patch"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "serviceaccounts", "services"}, Verbs: verbs},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: verbs},
		{APIGroups: []string{"autoscaling"}, Resources: []string{"horizontalpodautoscalers"}, Verbs: verbs},
		{APIGroups: []string{"policy"}, Resources: []string{"poddisruptionbudgets"}, Verbs: verbs},
	}
}
