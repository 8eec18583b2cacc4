package schema_test

import (
	"testing"

	k8sschema "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ebbgate/ebbgate/internal/schema"
)

// TestServes says which objects are ours, which a slip of the pen keeps from being so, and which are somebody else's.
func TestServes(t *testing.T) {
	v := schema.New()
	f := func(apiVersion, kind string, known, mistaken bool) {
		t.Helper()
		gvk := k8sschema.FromAPIVersionAndKind(apiVersion, kind)
		if k, m := v.Serves(gvk); k != known || m != mistaken {
			t.Errorf("%s: known %v, mistaken %v", gvk, k, m)
		}
		if !known && len(v.Check(t.Context(), objectOf(gvk))) != 1 {
			t.Errorf("%s: Check says nothing", gvk)
		}
	}
	f("ebbgate.dev/v1alpha1", "Backend", true, false)
	f("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", true, false)
	f("gateway.networking.k8s.io/v1alpha3", "TLSRoute", true, false)
	f("v1", "Secret", true, false)

	f("ebbgate.dev/v1", "Backend", false, true)
	f("ebbgate.dev/v1alpha1", "Bakend", false, true)

	f("ebgate.dev/v1alpha1", "GuardRailsPolicy", false, true)
	f("Ebbgate.dev/v1alpha1", "GuardRailsPolicy", false, true)
	f("ebbgaet.dev/v1alpha1", "Anything", false, true)
	f("ebbgate.io/v1alpha1", "EgressPolicy", false, true)
	f("networking.k8s.io/v1", "HTTPRoute", false, true)
	f("v1", "Backend", false, true)
	f("v1", "Secrt", false, true)
	f("v1", "secret", false, true)
	f("v1beta1", "Secret", false, true)
	f("discovery.k8s.io/v1", "EndpointSlices", false, true)
	f("discvery.k8s.io/v1", "EndpointSlice", false, true)

	for _, kind := range []string{
		"Pod", "PodTemplate", "Node", "Event", "Endpoints", "Binding", "ServiceAccount", "LimitRange", "ResourceQuota",
		"PersistentVolume", "PersistentVolumeClaim", "ReplicationController", "ComponentStatus",
	} {
		f("v1", kind, false, false)
	}
	f("apps/v1", "Deployment", false, false)
	f("serving.knative.dev/v1", "Service", false, false)
	f("networking.k8s.io/v1", "NetworkPolicy", false, false)
	f("monitoring.coreos.com/v1", "ServiceMonitor", false, false)
}
