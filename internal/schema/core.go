package schema

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	kjson "sigs.k8s.io/json"
)

var secretKind = schema.GroupKind{Group: corev1.GroupName, Kind: "Secret"}

// coreKinds are the kinds we read that no CRD serves.
func coreKinds() []*kind {
	entry := func(group, name string, namespaced bool, rule nameRule) *kind {
		gk := schema.GroupKind{Group: group, Kind: name}
		return &kind{GroupKind: gk, namespaced: namespaced, versions: []string{"v1"}, checker: coreKind{empty: typed[gk]}, validName: rule}
	}
	return []*kind{
		entry(corev1.GroupName, "ConfigMap", true, subdomainName),
		entry(corev1.GroupName, "Namespace", false, namespaceName),
		entry(corev1.GroupName, "Secret", true, subdomainName),
		entry(corev1.GroupName, "Service", true, serviceName),
		entry(discoveryv1.GroupName, "EndpointSlice", true, subdomainName),
	}
}

// coreKind checks the objects of a core kind by decoding them strictly. It does not judge values.
type coreKind struct{ empty func() Object }

func (k coreKind) check(_ context.Context, obj *unstructured.Unstructured) []Issue {
	issues := checkBase64(obj)
	if len(issues) > 0 {
		return issues
	}
	data, err := obj.MarshalJSON()
	if err != nil {
		return []Issue{{Problem: "cannot be written as JSON"}}
	}
	into := k.empty()
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		if issue := undecodable(err); !strings.HasPrefix(issue.Field, "metadata.") { // told already, by checkMetadata
			issues = append(issues, issue)
		}
		return issues
	}
	for _, err := range strict {
		if issue := unknownIn(into, err); !strings.HasPrefix(issue.Field, "metadata.") { // told already, by checkMetadata
			issues = append(issues, issue)
		}
	}
	setDefaults(into)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(into)
	if err != nil {
		return append(issues, Issue{Problem: "cannot be read back after defaults were set"})
	}
	obj.Object = content
	return issues
}

// undecodable says which field has the wrong type. The error's own text is not used: it may quote the value.
func undecodable(err error) Issue {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		is := strings.Fields(wrong.Value + " ?")[0]
		if is == "bool" {
			is = "boolean"
		}
		return Issue{Field: wrong.Field, Problem: fmt.Sprintf("must be %s, is %s", wrong.Type, is), Mend: quote(wrong.Type.String(), is)}
	}
	return Issue{Problem: "a field is of the wrong type"}
}

func unknownIn(into Object, err error) Issue {
	var at kjson.FieldError
	if !errors.As(err, &at) {
		return Issue{Problem: "has an unknown or repeated field"}
	}
	above, name := parent(at.FieldPath())
	if _, ok := into.(*corev1.Secret); ok { // only its top has fields that can be unknown, and their names may have dots
		above, name = "", at.FieldPath()
	}
	return Issue{
		Field:   at.FieldPath(),
		Problem: unknownField,
		Mend:    choose(name, jsonNames(reflect.TypeOf(into), above), "fields here"),
	}
}

// jsonNames lists the JSON names of the fields that a Go type has at a path.
func jsonNames(t reflect.Type, path string) []string {
	for _, s := range steps(path) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch {
		case t.Kind() == reflect.Slice, t.Kind() == reflect.Map:
			t = t.Elem()
		case t.Kind() == reflect.Struct && fields(t)[s.name] != nil:
			t = fields(t)[s.name]
		default:
			return nil
		}
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	return slices.Collect(maps.Keys(fields(t)))
}

// fields maps a struct's JSON names, those of inlined structs included, to their types.
func fields(t reflect.Type) map[string]reflect.Type {
	out := make(map[string]reflect.Type)
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "" && f.Anonymous:
			maps.Copy(out, fields(f.Type))
		case name != "" && name != "-":
			out[name] = f.Type
		}
	}
	return out
}

// checkBase64 finds the values of a Secret's data that are not base64, since the decoder would not say which they are.
func checkBase64(obj *unstructured.Unstructured) []Issue {
	if obj.GroupVersionKind().GroupKind() != secretKind {
		return nil
	}
	data, _, err := unstructured.NestedMap(obj.Object, "data")
	if err != nil {
		return []Issue{{Field: "data", Problem: "must be an object", Mend: "write keys with values in base64"}}
	}
	var issues []Issue
	for key, value := range data {
		text, ok := value.(string)
		if _, err := base64.StdEncoding.DecodeString(text); !ok || err != nil {
			issue := Issue{
				Field:   "data[" + key + "]",
				Problem: "is not base64",
				Mend:    "encode the value with base64, or write it as it is under stringData",
			}
			if len(validation.IsConfigMapKey(key)) > 0 { // no key's name: it may be a value gone astray
				issue.Field, issue.Problem, issue.Spot = "data", "has a key of a form that no key has, whose value is not base64", issue.Field
			}
			issues = append(issues, issue)
		}
	}
	return issues
}

// setDefaults sets what an API server sets and translation relies on.
func setDefaults(obj Object) {
	switch obj := obj.(type) {
	case *corev1.Secret:
		for key, value := range obj.StringData {
			if obj.Data == nil {
				obj.Data = make(map[string][]byte)
			}
			obj.Data[key] = []byte(value)
		}
		obj.StringData = nil
		if obj.Type == "" {
			obj.Type = corev1.SecretTypeOpaque
		}
	case *corev1.Service:
		if obj.Spec.Type == "" {
			obj.Spec.Type = corev1.ServiceTypeClusterIP
		}
		for i := range obj.Spec.Ports {
			port := &obj.Spec.Ports[i]
			if port.Protocol == "" {
				port.Protocol = corev1.ProtocolTCP
			}
			if port.TargetPort == (intstr.IntOrString{}) {
				port.TargetPort = intstr.FromInt32(port.Port)
			}
		}
	case *discoveryv1.EndpointSlice:
		for i := range obj.Ports {
			if obj.Ports[i].Name == nil {
				obj.Ports[i].Name = new(string)
			}
			if obj.Ports[i].Protocol == nil {
				obj.Ports[i].Protocol = new(corev1.ProtocolTCP)
			}
		}
	}
}
