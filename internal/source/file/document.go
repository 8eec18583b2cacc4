package file

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	sigsyaml "sigs.k8s.io/yaml"
)

// Bounds of one document. Depth is far above what any kind of ours has; the parser has its own, deeper one.
const (
	maxDepth    = 100
	maxExpanded = 200_000 // nodes once aliases are written out
	maxListing  = 8       // Lists inside Lists
)

// fault is a problem at a line of a document, which does not know where in a file it stands.
type fault struct {
	line                                 int
	first                                int // the line where the same thing stands already, or 0
	object, field, reason, message, mend string
}

// document is what a chunk says: the objects in it or why there are none.
type document struct {
	objects []*written
	faults  []fault
}

// written is one object as its author wrote it.
type written struct {
	node  *yaml.Node     // for the lines; nil for a Secret that is a folder of files
	value map[string]any // nil once it was looked at: a Secret's value need not stay in memory twice

	checked *checked // what became of it, once it was looked at
}

// parse reads one document. The nodes give the lines; the value comes from the conversion that kubectl uses, so that
// "on" and "yes" mean here what they mean there.
func parse(text []byte) *document {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		// This parser tells the line where a block or a key began, the other one the line where it gave up.
		if _, other := sigsyaml.YAMLToJSON(text); other != nil && !strings.Contains(other.Error(), "could not find expected ':'") {
			err = other
		}
		return broken(text, err)
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		return &document{}
	}
	node := root.Content[0]
	if faults := inspect(node); len(faults) > 0 {
		return &document{faults: faults}
	}
	raw, err := sigsyaml.YAMLToJSONStrict(text)
	if err != nil {
		return broken(text, err)
	}
	var value any
	if err := utiljson.Unmarshal(raw, &value); err != nil {
		return &document{faults: []fault{{line: node.Line, reason: "InvalidYAML", message: "the document has a value that JSON cannot hold"}}}
	}
	d := &document{}
	d.add(node, value, 0)
	return d
}

// broken is a document that does not parse. At its end a parser stands below the last line.
func broken(text []byte, err error) *document {
	f := complaint(err)
	f.line = min(f.line, 1+bytes.Count(bytes.TrimSpace(text), []byte("\n")))
	f.tab(text)
	f.json(text)
	return &document{faults: []fault{f}}
}

// add takes an object, or those in a List.
func (d *document) add(node *yaml.Node, value any, depth int) {
	object, ok := value.(map[string]any)
	switch {
	case value == nil:
		return
	case !ok:
		d.faults = append(d.faults, fault{line: node.Line, reason: "InvalidYAML",
			message: "the document is no object", mend: "begin with apiVersion, kind and metadata"})
		return
	case object["kind"] != "List" || object["apiVersion"] != "v1":
		d.objects = append(d.objects, &written{node: node, value: object})
		return
	}
	items, ok := object["items"].([]any)
	if !ok && object["items"] != nil || depth == maxListing {
		d.faults = append(d.faults, fault{line: find(node, "items").Line, object: "List", field: "items", reason: "Invalid",
			message: "items is no list of objects", mend: "write the objects as items of one list"})
		return
	}
	for i, item := range items {
		d.add(find(node, fmt.Sprintf("items[%d]", i)), item, depth+1)
	}
}

// inspect finds what the parsers let pass: keys given twice, nesting without end, aliases that multiply.
func inspect(root *yaml.Node) []fault {
	in := inspection{sizes: map[*yaml.Node]int{}, open: map[*yaml.Node]bool{}}
	if in.size(root, 0) > maxExpanded && !in.fatal {
		in.fail(root, "aliases make the document too large", "write the values out")
	}
	return in.faults
}

type inspection struct {
	sizes  map[*yaml.Node]int
	open   map[*yaml.Node]bool
	faults []fault
	fatal  bool
}

func (in *inspection) fail(n *yaml.Node, message, mend string) {
	in.faults = append(in.faults, fault{line: n.Line, reason: "InvalidYAML", message: message, mend: mend})
	in.fatal = true
}

// size is the number of nodes under n with every alias written out, or just over the bound.
func (in *inspection) size(n *yaml.Node, depth int) int {
	if size, ok := in.sizes[n]; ok {
		return size
	}
	switch {
	case in.fatal:
		return 0
	case depth > maxDepth:
		in.fail(n, "the document is nested too deeply", fmt.Sprintf("nest %d levels at most", maxDepth))
		return 0
	case in.open[n]:
		in.fail(n, "an anchor contains itself", "write the value out")
		return 0
	}
	in.open[n] = true
	size := 1
	if n.Kind == yaml.AliasNode {
		size += in.size(n.Alias, depth+1)
	}
	if n.Kind == yaml.MappingNode {
		in.keys(n)
	}
	for _, child := range n.Content {
		size = min(size+in.size(child, depth+1), maxExpanded+1)
	}
	delete(in.open, n)
	in.sizes[n] = size
	return size
}

// keys reports every key that stands twice in one object, and keys that are no text.
func (in *inspection) keys(n *yaml.Node) {
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := behind(n.Content[i])
		line := n.Content[i].Line
		if key.Kind != yaml.ScalarNode {
			in.faults = append(in.faults, fault{line: line, reason: "InvalidYAML",
				message: "a key is an object or a list", mend: "quote a value that begins with { or ["})
			continue
		}
		if before, ok := first[key.Value]; ok {
			in.faults = append(in.faults, fault{line: line, first: before, reason: "DuplicateKey",
				message: "the key " + nameOnly(key.Value) + "is given twice", mend: "keep one of the two"})
			continue
		}
		first[key.Value] = line
	}
}

var plainName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9./_-]{0,62}$`)

// nameOnly is a key followed by a space, or nothing where it does not look like one: then it may be a value gone astray.
func nameOnly(key string) string {
	if plainName.MatchString(key) {
		return strconv.Quote(key) + " "
	}
	return ""
}
