package file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/ebbgate/ebbgate/internal/plan"
	ebbschema "github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

// checked is what became of an object: it is served, foreign, or wrong.
type checked struct {
	name    string // Kind/namespace/name; empty where it has none
	kind    string
	object  source.Object
	foreign *schema.GroupKind
	issues  []ebbschema.Issue
	sum     sum // of the value as written: the same value stays the same object wherever and however it stands
}

// check brings one object from its text to its type.
func (s *Source) check(ctx context.Context, value map[string]any) *checked {
	obj := &unstructured.Unstructured{Object: value}
	c := &checked{kind: obj.GetKind()}
	gvk := obj.GroupVersionKind()
	if member := s.schema.ListOf(gvk); member != "" {
		c.issues = []ebbschema.Issue{{Field: "kind", Problem: "a " + gvk.Kind + " is what an API server answers with, and no object of its own",
			Mend: "write kind: List with apiVersion: v1, and under items each " + member + " with its own apiVersion, kind and metadata"}}
		return c
	}
	if c.issues = header(value); len(c.issues) > 0 {
		c.name = identity(obj)
		return c
	}
	known, mistaken := s.schema.Serves(gvk)
	if !known && !mistaken {
		c.foreign = new(gvk.GroupKind())
		return c
	}
	raw, err := json.Marshal(value)
	if err != nil {
		c.issues = []ebbschema.Issue{{Problem: "the object has a value that JSON cannot hold"}}
		return c
	}
	c.sum = sha256.Sum256(raw)
	if old := s.objects[c.sum]; old != nil {
		return old
	}
	obj = obj.DeepCopy() // the checks write defaults and drop what they do not know
	c.issues = s.schema.Check(ctx, obj)
	c.name = identity(obj)
	if gvk.Kind == "Secret" {
		conceal(c.issues, value)
	}
	if len(c.issues) > 0 {
		return c
	}
	object, err := s.schema.Decode(obj)
	if err != nil {
		// The decoder may quote what it cannot take.
		c.issues = []ebbschema.Issue{{Problem: "the object does not fit its type"}}
		return c
	}
	c.object = object
	return c
}

// header finds what must be right before anyone can say which schema holds.
func header(value map[string]any) []ebbschema.Issue {
	var issues []ebbschema.Issue
	version, _ := value["apiVersion"].(string)
	if kind, _ := value["kind"].(string); kind == "" {
		issues = append(issues, ebbschema.Issue{Field: "kind", Problem: "the object has no kind", Mend: "write kind: HTTPRoute or another"})
	}
	group, number, slash := strings.Cut(version, "/")
	switch {
	case version == "":
		issues = append(issues, ebbschema.Issue{Field: "apiVersion", Problem: "the object has no apiVersion", Mend: "write apiVersion: ebbgate.dev/v1alpha1 or another"})
	case !slash && strings.Contains(version, "."), slash && (group == "" || number == "" || strings.Contains(number, "/")):
		// Taken for a version of the core group, a guardrail would be ignored as somebody else's object.
		issues = append(issues, ebbschema.Issue{Field: "apiVersion", Problem: "the apiVersion is not of the form group/version", Mend: "write ebbgate.dev/v1alpha1 or another"})
	}
	if _, ok := value["metadata"].(map[string]any); !ok {
		issues = append(issues, ebbschema.Issue{Field: "metadata", Problem: "the object has no metadata", Mend: "write metadata with a name"})
	}
	return issues
}

// identity is the object's plan name; empty where it has none.
func identity(obj *unstructured.Unstructured) string {
	if obj.GetKind() == "" || obj.GetName() == "" {
		return ""
	}
	return plan.ObjectName(obj.GetKind(), obj.GetNamespace(), obj.GetName())
}

// conceal takes every issue's text away that holds a value of the Secret, as written or as meant. The schema promises
// not to quote values; this does not depend on it.
func conceal(issues []ebbschema.Issue, secret map[string]any) {
	values := map[string]struct{}{}
	for key, value := range secret {
		if key != "apiVersion" && key != "kind" && key != "metadata" && key != "type" {
			gather(values, value)
		}
	}
	for i := range issues {
		for value := range values {
			if strings.Contains(issues[i].Problem+"\x00"+issues[i].Mend, value) {
				issues[i].Problem, issues[i].Mend = "the value is not valid here", ""
			}
		}
	}
}

const shortest = 4 // a shorter text is part of any sentence, and no secret

func gather(values map[string]struct{}, value any) {
	switch value := value.(type) {
	case map[string]any:
		for _, member := range value {
			gather(values, member)
		}
	case []any:
		for _, member := range value {
			gather(values, member)
		}
	case nil, bool:
	default:
		written := fmt.Sprint(value)
		meant, _ := base64.StdEncoding.DecodeString(written)
		for _, form := range []string{written, string(meant)} {
			if len(form) >= shortest {
				values[form] = struct{}{}
			}
		}
	}
}

// faults are the issues as faults of the document that the object stands in.
func (c *checked) faults(w *written) []fault {
	faults := make([]fault, 0, len(c.issues))
	for _, issue := range c.issues {
		f := fault{object: cmp.Or(c.name, c.kind), field: issue.Field, reason: "Invalid", message: issue.Problem, mend: issue.Mend}
		if w.node != nil {
			f.line = find(w.node, cmp.Or(issue.Spot, issue.Field)).Line
		}
		faults = append(faults, f)
	}
	return faults
}
