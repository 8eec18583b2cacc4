package file

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// place is where an object stands.
type place struct {
	file    string     // of a mounted Secret: its folder
	above   int        // lines of the file above the document
	node    *yaml.Node // nil for a mounted Secret
	mounted bool
}

func (p place) line() int {
	if p.node == nil {
		return p.above
	}
	return p.above + p.node.Line
}

func (p place) String() string {
	if p.mounted {
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line())
}

// locator is a snapshot's Locate.
func locator(places map[string]place) func(object, field string) (string, int) {
	return func(object, field string) (string, int) {
		p, ok := places[object]
		switch key, isKey := strings.CutPrefix(field, "data"); {
		case !ok:
			return "", 0
		case p.mounted && isKey && strings.Trim(key, `.[]"'`) != "":
			return filepath.Join(p.file, strings.TrimPrefix(strings.Trim(key, `[]"'`), ".")), 0
		case p.mounted:
			return p.file, 0
		case isKey && find(p.node, field).Line == find(p.node, "data").Line:
			// What was written as stringData is read as data.
			if node := find(p.node, "stringData"+key); node != p.node {
				return p.file, p.above + node.Line
			}
		}
		return p.file, p.above + find(p.node, field).Line
	}
}

// ignore logs once that a kind is somebody else's.
func (s *Source) ignore(kind schema.GroupKind, at place) {
	if _, ok := s.ignored[kind.String()]; ok || len(s.ignored) >= s.limits.files {
		return
	}
	s.ignored[kind.String()] = struct{}{}
	s.logger.Info("objects of a kind that Ebbgate does not serve are ignored", "group", kind.Group, "kind", kind.Kind, "first", at.String())
}

// behind is the node that an alias stands for.
func behind(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// find is the node to show for a field: the key of a member, the item of a list, or the nearest one above that is
// written. Keys may hold dots (data.tls.crt), so the longest key that fits is taken.
func find(n *yaml.Node, field string) *yaml.Node {
	shown := n
	for n = behind(n); field != ""; n = behind(n) {
		var next, mark *yaml.Node
		next, mark, field = step(n, field)
		if next == nil {
			break
		}
		n, shown = next, mark
	}
	return shown
}

// step goes one member down; next is nil where the field is not written.
func step(n *yaml.Node, field string) (next, mark *yaml.Node, rest string) {
	inside, after, bracket := bracketed(field)
	switch n.Kind {
	case yaml.SequenceNode:
		index, err := strconv.Atoi(inside)
		if err != nil || !bracket || index < 0 || index >= len(n.Content) {
			return nil, nil, ""
		}
		return n.Content[index], n.Content[index], strings.TrimPrefix(after, ".")
	case yaml.MappingNode:
		best := -1
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := behind(n.Content[i]).Value
			if bracket && key == inside {
				return n.Content[i+1], n.Content[i], strings.TrimPrefix(after, ".")
			}
			if leads(field, key) && (best < 0 || len(key) > len(behind(n.Content[best]).Value)) {
				best = i
			}
		}
		if best < 0 {
			return nil, nil, ""
		}
		key := behind(n.Content[best]).Value
		return n.Content[best+1], n.Content[best], strings.TrimPrefix(field[len(key):], ".")
	}
	return nil, nil, ""
}

// leads tells whether the field begins with the key as a whole member.
func leads(field, key string) bool {
	return key != "" && strings.HasPrefix(field, key) &&
		(len(field) == len(key) || slices.Contains([]byte(".["), field[len(key)]))
}

// bracketed takes [3], [key] or ["key"] off the front.
func bracketed(field string) (inside, after string, ok bool) {
	if !strings.HasPrefix(field, "[") {
		return "", "", false
	}
	inside, after, ok = strings.Cut(field[1:], "]")
	return strings.Trim(inside, `"'`), after, ok
}
