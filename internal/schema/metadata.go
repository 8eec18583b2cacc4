package schema

import (
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// nameRule says how the objects of a kind may be called, and how to say so.
type nameRule struct {
	check apivalidation.ValidateNameFunc
	form  string
}

// The rules for names: most kinds, Namespaces (RFC 1123 labels), and Services (RFC 1035 labels).
var (
	subdomainName = nameRule{
		check: apivalidation.NameIsDNSSubdomain,
		form:  "write lower-case letters, digits, hyphens and dots, such as my-name",
	}
	namespaceName = nameRule{
		check: apivalidation.NameIsDNSLabel,
		form:  "write at most 63 lower-case letters, digits and hyphens, such as my-name",
	}
	serviceName = nameRule{
		check: apivalidation.NameIsDNS1035Label,
		form:  "write at most 63 lower-case letters, digits and hyphens, beginning with a letter, such as my-name",
	}
)

// checkMetadata checks an object's metadata and puts a namespaced object that names none into "default", where kubectl
// puts it.
func (k *kind) checkMetadata(obj *unstructured.Unstructured) []Issue {
	meta, found, unknown, err := objectmeta.GetObjectMetaWithOptions(obj.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return mistyped(obj)
	}
	if !found || meta.Name == "" {
		return []Issue{{Field: "metadata.name", Problem: "is required", Mend: k.validName.form}}
	}
	var issues []Issue
	for _, path := range unknown {
		_, name := parent(path)
		issues = append(issues, Issue{Field: path, Problem: unknownField, Mend: choose(name, metadataNames(), "fields here")})
	}
	if k.namespaced && meta.Namespace == "" {
		meta.Namespace = metav1.NamespaceDefault
		obj.SetNamespace(metav1.NamespaceDefault)
	}
	return append(issues, k.judge(meta)...)
}

func (k *kind) judge(meta *metav1.ObjectMeta) []Issue {
	var issues []Issue
	for _, err := range apivalidation.ValidateObjectMeta(meta, k.namespaced, k.validName.check, field.NewPath("metadata")) {
		issue := fromMetadata(err)
		switch err.Field {
		case "metadata.name":
			issue.Mend = k.validName.form
		case "metadata.namespace":
			issue.Mend = namespaceName.form
			if !k.namespaced {
				issue = Issue{Field: err.Field, Problem: k.Kind + " belongs to no namespace", Mend: "remove it"}
			}
		}
		issues = append(issues, issue)
	}
	return issues
}

// metadataNames lists the fields of metadata that a user writes.
func metadataNames() []string {
	return []string{"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences"}
}

// mistyped finds the fields of metadata that the decoder does not take.
func mistyped(obj *unstructured.Unstructured) []Issue {
	meta, _ := obj.Object["metadata"].(map[string]any)
	var issues []Issue
	for _, name := range []string{"name", "namespace"} {
		if value, written := meta[name]; written {
			issues = append(issues, noText("metadata."+name, value)...)
		}
	}
	for _, name := range []string{"labels", "annotations"} {
		members, isMap := meta[name].(map[string]any)
		if !isMap && meta[name] != nil {
			issues = append(issues, Issue{Field: "metadata." + name, Problem: "must be an object", Mend: "write keys with text as their values"})
		}
		for key, value := range members {
			found := noText("metadata."+name+"["+key+"]", value)
			for i := range found {
				if obj.GroupVersionKind().GroupKind() == secretKind { // a key there may be a value gone astray
					found[i].Spot, found[i].Field = found[i].Field, "metadata."+name
				}
			}
			issues = append(issues, found...)
		}
	}
	if len(issues) == 0 {
		issues = []Issue{{Field: "metadata", Problem: "a field is of the wrong type", Mend: "write strings; labels and annotations are maps of strings"}}
	}
	return issues
}

// noText says of a value that it is no text. YAML 1.1 has more words for true and false than a reader expects.
func noText(field string, value any) []Issue {
	switch value.(type) {
	case string:
		return nil
	case bool:
		return []Issue{{Field: field, Problem: "must be string, is boolean: YAML reads y, n, yes, no, on and off so", Mend: "put it in quotes"}}
	case int64, float64:
		return []Issue{{Field: field, Problem: "must be string, is number", Mend: "put it in quotes"}}
	}
	return []Issue{{Field: field, Problem: "must be string", Mend: "write text"}}
}
