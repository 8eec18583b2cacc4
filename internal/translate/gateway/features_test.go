package gateway

import (
	"slices"
	"strings"
	"testing"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// lacking are the features of the standard that no GatewayClass of ours has: a name, or the beginning of several.
var lacking = []string{"ListenerSet", "Mesh", "TCPRoute", "TLSRoute", "UDPRoute"}

// Every feature of the standard is either had or known to be lacking, so that a new version of it makes somebody decide.
func TestFeaturesAreThoseOfTheStandard(t *testing.T) {
	var had []string
	for _, f := range Supported(true) {
		had = append(had, string(f.Name))
	}
	if !slices.IsSorted(had) || len(slices.Compact(slices.Clone(had))) != len(had) {
		t.Errorf("not in order, or twice: %v", had)
	}
	const room = 64 // of the schema
	if len(had) > room {
		t.Errorf("%d features, and the schema has room for %d", len(had), room)
	}
	for _, name := range had {
		if features.GetFeature(features.FeatureName(name)).Name == "" {
			t.Errorf("%s is no feature of the standard", name)
		}
	}
	for _, f := range features.AllFeatures.UnsortedList() {
		name := string(f.Name)
		missing := slices.ContainsFunc(lacking, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if missing == slices.Contains(had, name) {
			t.Errorf("%s: known to be lacking %v, and claimed %v", name, missing, !missing)
		}
	}
}

func TestFeaturesOfKubernetesAloneAreNotClaimedElsewhere(t *testing.T) {
	infrastructure := gwapiv1.SupportedFeature{Name: gwapiv1.FeatureName(features.SupportGatewayInfrastructure)}
	if slices.Contains(Supported(false), infrastructure) || !slices.Contains(Supported(true), infrastructure) {
		t.Errorf("%s is for Kubernetes alone", infrastructure.Name)
	}
}
