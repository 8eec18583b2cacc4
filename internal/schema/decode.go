package schema

import (
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"

	"github.com/ebbgate/ebbgate/api/v1alpha1"
)

// Object is a typed object with metadata.
type Object interface {
	runtime.Object
	metav1.Object
}

func ours(kind string) schema.GroupKind {
	return schema.GroupKind{Group: v1alpha1.GroupName, Kind: kind}
}

func standard(kind string) schema.GroupKind {
	return schema.GroupKind{Group: gwapiv1.GroupName, Kind: kind}
}

// typed makes an empty object of each kind that has one Go type for all its served versions. XBackend has none: its
// shape differs between Gateway API v1.6 and v1.7, so it stays unstructured.
var typed = map[schema.GroupKind]func() Object{
	ours("Backend"):               func() Object { return &v1alpha1.Backend{} },
	ours("CredentialInjector"):    func() Object { return &v1alpha1.CredentialInjector{} },
	ours("DNSPolicy"):             func() Object { return &v1alpha1.DNSPolicy{} },
	ours("EgressPolicy"):          func() Object { return &v1alpha1.EgressPolicy{} },
	ours("GatewayParameters"):     func() Object { return &v1alpha1.GatewayParameters{} },
	ours("GuardRailsPolicy"):      func() Object { return &v1alpha1.GuardRailsPolicy{} },
	ours("RegionAllowListPolicy"): func() Object { return &v1alpha1.RegionAllowListPolicy{} },

	standard("BackendTLSPolicy"): func() Object { return &gwapiv1.BackendTLSPolicy{} },
	standard("GRPCRoute"):        func() Object { return &gwapiv1.GRPCRoute{} },
	standard("Gateway"):          func() Object { return &gwapiv1.Gateway{} },
	standard("GatewayClass"):     func() Object { return &gwapiv1.GatewayClass{} },
	standard("HTTPRoute"):        func() Object { return &gwapiv1.HTTPRoute{} },
	standard("ListenerSet"):      func() Object { return &gwapiv1.ListenerSet{} },
	standard("ReferenceGrant"):   func() Object { return &gwapiv1.ReferenceGrant{} },
	standard("TCPRoute"):         func() Object { return &gwapiv1.TCPRoute{} },
	standard("TLSRoute"):         func() Object { return &gwapiv1.TLSRoute{} },
	standard("UDPRoute"):         func() Object { return &gwapiv1.UDPRoute{} },

	{Group: gwapixv1alpha1.GroupName, Kind: "XBackendTrafficPolicy"}: func() Object { return &gwapixv1alpha1.XBackendTrafficPolicy{} },

	{Kind: "ConfigMap"}: func() Object { return &corev1.ConfigMap{} },
	{Kind: "Namespace"}: func() Object { return &corev1.Namespace{} },
	{Kind: "Secret"}:    func() Object { return &corev1.Secret{} },
	{Kind: "Service"}:   func() Object { return &corev1.Service{} },
	{Group: discoveryv1.GroupName, Kind: "EndpointSlice"}: func() Object { return &discoveryv1.EndpointSlice{} },
}

// Decode turns a checked object into its Go type, whatever served version it was written in: the types of
// sigs.k8s.io/gateway-api/apis/v1 (apisx/v1alpha1 for XBackendTrafficPolicy), api/v1alpha1, core/v1 and discovery/v1.
// The result says the preferred version. An XBackend comes back unstructured, as a copy. In the spec of one of our kinds a
// field that is not known is an error: a newer version may have it for what protects the rest.
func (v *Validator) Decode(obj *unstructured.Unstructured) (Object, error) {
	gvk := obj.GroupVersionKind()
	if known, _ := v.Serves(gvk); !known {
		return nil, fmt.Errorf("decode %s: not served", gvk)
	}
	gvk.Version = v.kinds[gvk.GroupKind()].versions[0]
	empty, ok := typed[gvk.GroupKind()]
	if !ok {
		return obj.DeepCopy(), nil
	}
	into := empty()
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, into); err != nil {
		return nil, fmt.Errorf("decode %s %s/%s: the object does not fit its type%s", gvk.Kind, obj.GetNamespace(), obj.GetName(), misfit(obj, empty()))
	}
	if gvk.Group == v1alpha1.GroupName {
		spec := map[string]any{"spec": obj.Object["spec"]}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(spec, empty(), true); err != nil {
			return nil, fmt.Errorf("decode %s %s/%s: this version does not know all of it: %w", gvk.Kind, obj.GetNamespace(), obj.GetName(), err)
		}
	}
	into.GetObjectKind().SetGroupVersionKind(gvk)
	return into, nil
}

// misfit says which field does not fit, where that can be told. It never quotes a value, which could be a secret's.
func misfit(obj *unstructured.Unstructured, into Object) string {
	text, err := json.Marshal(obj.Object)
	if err != nil {
		return ""
	}
	var wrong *json.UnmarshalTypeError
	if err := json.Unmarshal(text, into); errors.As(err, &wrong) && wrong.Field != "" {
		return " at " + wrong.Field
	}
	return ""
}
