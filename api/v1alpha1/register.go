package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind of this package.
const GroupName = "ebbgate.dev"

// GroupVersion is the group and version of every kind of this package.
var GroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package and their lists.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&Backend{}, &BackendList{},
		&CredentialInjector{}, &CredentialInjectorList{},
		&DNSPolicy{}, &DNSPolicyList{},
		&EgressPolicy{}, &EgressPolicyList{},
		&GatewayParameters{}, &GatewayParametersList{},
		&GuardRailsPolicy{}, &GuardRailsPolicyList{},
		&RegionAllowListPolicy{}, &RegionAllowListPolicyList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
