package plan

import "strings"

// ObjectName is the plan name of an object: "Kind/namespace/name".
func ObjectName(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

// namespaceOf is the namespace in a "Kind/namespace/name".
func namespaceOf(name string) string {
	_, rest, _ := strings.Cut(name, "/")
	namespace, _, _ := strings.Cut(rest, "/")
	return namespace
}
