// Package derive computes collections from collections and recomputes, when inputs change, exactly what read them. A
// Graph is advanced by Commit, synchronously and in one goroutine: after it every collection agrees with the sources,
// so that a reader never sees half of a change. It does no I/O and knows nothing of Kubernetes; translate builds its
// tables on it. docs/decisions/0001 says why it is not krt.
package derive

import (
	"maps"
	"reflect"
	"slices"
)

// Graph is a set of collections in the order of their making, which is the order of computation.
type Graph struct {
	nodes []node
	// changed are the reads that would now see something else: of this commit.
	changed map[read]struct{}
}

type node interface {
	commit()
	settle()
	runs() (string, int)
}

// read is what a derivation looked at: a key of a collection or of an index, whether or not anything stood there.
type read struct {
	of  any
	key string
}

// NewGraph is an empty graph.
func NewGraph() *Graph { return &Graph{changed: map[read]struct{}{}} }

// Commit brings every derived collection up to date. Functions given to Derive run once for each input that changed
// or whose reads did.
func (g *Graph) Commit() {
	for _, n := range g.nodes {
		n.commit()
	}
	for _, n := range g.nodes {
		n.settle()
	}
	clear(g.changed)
}

// Runs counts how often each derivation ran in the latest commit, by collection.
func (g *Graph) Runs() map[string]int {
	runs := map[string]int{}
	for _, n := range g.nodes {
		if name, count := n.runs(); count > 0 {
			runs[name] = count
		}
	}
	return runs
}

// Collection is a set of values by key. Values are immutable.
type Collection[T any] struct {
	graph   *Graph
	items   map[string]T
	changed map[string]change[T] // since the latest settle
	indexes []func(key string, before, after *T)
}

type change[T any] struct{ before, after *T }

// Len is the number of values.
func (c *Collection[T]) Len() int { return len(c.items) }

// Peek is a look from outside the graph, after a Commit.
func (c *Collection[T]) Peek(key string) (T, bool) { v, ok := c.items[key]; return v, ok }

// Sorted are all values by key, for use outside the graph, after a Commit.
func (c *Collection[T]) Sorted() []T {
	list := make([]T, 0, len(c.items))
	for _, key := range slices.Sorted(maps.Keys(c.items)) {
		list = append(list, c.items[key])
	}
	return list
}

// put sets or (value nil) removes a key and notes the change; a value equal to the old one keeps the old.
func (c *Collection[T]) put(key string, value *T) {
	old, had := c.items[key]
	if value == nil && !had || value != nil && had && reflect.DeepEqual(old, *value) {
		return
	}
	var before *T
	if had {
		before = &old
	}
	if value == nil {
		delete(c.items, key)
	} else {
		c.items[key] = *value
	}
	c.changed[key] = change[T]{before, value}
	c.graph.changed[read{c, key}] = struct{}{}
	c.graph.changed[read{c, all}] = struct{}{}
	for _, index := range c.indexes {
		index(key, before, value)
	}
}

func (c *Collection[T]) settle() { clear(c.changed) }

// Source is a collection that its owner fills.
type Source[T any] struct{ *Collection[T] }

// NewSource adds an empty source.
func NewSource[T any](g *Graph) Source[T] {
	s := Source[T]{newCollection[T](g)}
	g.nodes = append(g.nodes, s)
	return s
}

func newCollection[T any](g *Graph) *Collection[T] {
	return &Collection[T]{graph: g, items: map[string]T{}, changed: map[string]change[T]{}}
}

// Set stores a value for the next commit.
func (s Source[T]) Set(key string, value T) { s.put(key, &value) }

// Delete removes a value for the next commit.
func (s Source[T]) Delete(key string) { s.put(key, nil) }

func (s Source[T]) commit()             {}
func (s Source[T]) runs() (string, int) { return "", 0 }

// Index finds the values of a collection by further keys.
type Index[T any] struct {
	collection *Collection[T]
	keys       func(key string, value T) []string
	members    map[string]map[string]struct{}
}

// NewIndex adds an index; keys names the places where a value is found. Make it before the collection is filled.
func NewIndex[T any](c *Collection[T], keys func(key string, value T) []string) *Index[T] {
	ix := &Index[T]{c, keys, map[string]map[string]struct{}{}}
	c.indexes = append(c.indexes, ix.update)
	return ix
}

// Has is a look from outside the graph: whether values are found at a key.
func (ix *Index[T]) Has(key string) bool { return len(ix.members[key]) > 0 }

func (ix *Index[T]) update(key string, before, after *T) {
	if before != nil {
		for _, k := range ix.keys(key, *before) {
			delete(ix.members[k], key)
			if len(ix.members[k]) == 0 {
				delete(ix.members, k)
			}
			ix.collection.graph.changed[read{ix, k}] = struct{}{}
		}
	}
	if after != nil {
		for _, k := range ix.keys(key, *after) {
			if ix.members[k] == nil {
				ix.members[k] = map[string]struct{}{}
			}
			ix.members[k][key] = struct{}{}
			ix.collection.graph.changed[read{ix, k}] = struct{}{}
		}
	}
}

// all is the key of a read of a whole collection.
const all = "\x00all"
