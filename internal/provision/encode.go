package provision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// AnnotationApplied has a hash of what was last applied. By it an object is known to be as it should, even after a field
// was taken back, which comparing cannot see.
const AnnotationApplied = "ebbgate.dev/applied"

// encode is an object as it is applied: the fields that are ours, with their hash.
func encode(o Object) (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.GetName(), err)
	}
	delete(fields, "status")
	text, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.GetName(), err)
	}
	sum := sha256.Sum256(text)
	if err := unstructured.SetNestedField(fields, hex.EncodeToString(sum[:16]), "metadata", "annotations", AnnotationApplied); err != nil {
		return nil, fmt.Errorf("encode %s: %w", o.GetName(), err)
	}
	return fields, nil
}

// current reports whether an object in the cluster is as it should: what was applied last is what would be applied now,
// and nobody has changed it since.
func current(live Object, want map[string]any) bool {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return false
	}
	fields["apiVersion"], fields["kind"] = want["apiVersion"], want["kind"] // a typed client leaves them out
	return holds(fields, want)
}

// holds reports whether live has all of want. Objects of a list are those of any place in it, as server-side apply has them.
func holds(live, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := live.(map[string]any)
		if !ok {
			return false
		}
		for key, value := range want {
			if !holds(fields[key], value) {
				return false
			}
		}
		return true
	case []any:
		list, ok := live.([]any)
		if !ok {
			return false
		}
		if len(want) > 0 {
			if _, objects := want[0].(map[string]any); !objects {
				return reflect.DeepEqual(live, any(want))
			}
		}
		return !slices.ContainsFunc(want, func(item any) bool {
			return !slices.ContainsFunc(list, func(candidate any) bool { return holds(candidate, item) })
		})
	}
	return reflect.DeepEqual(live, want)
}
