package schema

import (
	"maps"
	"slices"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// step is one part of a field path: a name, or an element of the list or map before it.
type step struct {
	name    string
	element bool
}

// steps takes a field path apart: spec.rules[0].path is spec, rules, an element, path.
func steps(path string) []step {
	var out []step
	for path != "" {
		path = strings.TrimPrefix(path, ".")
		if strings.HasPrefix(path, "[") {
			end := strings.IndexByte(path, ']')
			if end < 0 {
				return out
			}
			out = append(out, step{name: path[1:end], element: true})
			path = path[end+1:]
			continue
		}
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		if end > 0 {
			out = append(out, step{name: path[:end]})
		}
		path = path[end:]
	}
	return out
}

// parent splits off the last name of a field path.
func parent(path string) (above, name string) {
	dot := strings.LastIndexByte(path, '.')
	if dot < 0 {
		return "", path
	}
	return path[:dot], path[dot+1:]
}

// lookup returns the schema of a field, or nil where the path leads out of the schema.
func lookup(node *structural.Structural, path string) *structural.Structural {
	for _, s := range steps(path) {
		if node == nil {
			return nil
		}
		property, known := node.Properties[s.name]
		switch {
		case s.element && node.Items != nil:
			node = node.Items
		case known:
			node = &property
		case node.AdditionalProperties != nil:
			node = node.AdditionalProperties.Structural
		default:
			node = nil
		}
	}
	return node
}

// fieldNames lists the fields that an object of a schema may have.
func fieldNames(node *structural.Structural) []string {
	if node == nil {
		return nil
	}
	return slices.Collect(maps.Keys(node.Properties))
}
