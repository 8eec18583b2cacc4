package derive

import (
	"maps"
	"slices"
)

// Reader remembers what a derivation reads, so that it runs again when that changes.
type Reader struct{ reads map[read]struct{} }

func (r *Reader) note(of any, key string) { r.reads[read{of, key}] = struct{}{} }

// Get reads one value.
func Get[T any](r *Reader, c *Collection[T], key string) (T, bool) {
	r.note(c, key)
	v, ok := c.items[key]
	return v, ok
}

// Select reads the values that an index finds at key, by their own keys in order.
func Select[T any](r *Reader, ix *Index[T], key string) []T {
	r.note(ix, key)
	list := make([]T, 0, len(ix.members[key]))
	for _, k := range slices.Sorted(maps.Keys(ix.members[key])) {
		list = append(list, ix.collection.items[k])
	}
	return list
}

// All reads every value in the order of the keys. Any change of the collection runs the reader again.
func All[T any](r *Reader, c *Collection[T]) []T {
	r.note(c, all)
	return c.Sorted()
}

// Derive adds a collection computed from another, value by value: f gives the outputs of one input by key. Two inputs
// must not give the same key.
func Derive[I, O any](g *Graph, name string, in *Collection[I], f func(r *Reader, key string, value I) map[string]O) *Collection[O] {
	d := &derived[I, O]{
		Collection: newCollection[O](g), name: name, in: in, f: f,
		outputs: map[string][]string{}, reads: map[string]map[read]struct{}{}, readers: map[read]map[string]struct{}{},
	}
	g.nodes = append(g.nodes, d)
	return d.Collection
}

type derived[I, O any] struct {
	*Collection[O]
	name    string
	in      *Collection[I]
	f       func(*Reader, string, I) map[string]O
	outputs map[string][]string          // input key → output keys
	reads   map[string]map[read]struct{} // input key → what it read
	readers map[read]map[string]struct{} // the reverse
	count   int
}

func (d *derived[I, O]) runs() (string, int) { return d.name, d.count }

func (d *derived[I, O]) commit() {
	dirty := map[string]struct{}{}
	for key := range d.in.changed {
		dirty[key] = struct{}{}
	}
	for r := range d.graph.changed {
		maps.Copy(dirty, d.readers[r])
	}
	d.count = 0
	gone := map[string]struct{}{} // outputs to remove, unless another input gives them in the same commit
	fresh := map[string]O{}
	for _, key := range slices.Sorted(maps.Keys(dirty)) {
		for _, out := range d.outputs[key] {
			gone[out] = struct{}{}
		}
		d.forget(key)
		value, ok := d.in.items[key]
		if !ok {
			continue
		}
		d.count++
		r := &Reader{map[read]struct{}{}}
		outputs := d.f(r, key, value)
		d.remember(key, r.reads)
		maps.Copy(fresh, outputs)
		d.outputs[key] = slices.Collect(maps.Keys(outputs))
	}
	for _, key := range slices.Sorted(maps.Keys(gone)) {
		if _, ok := fresh[key]; !ok {
			d.put(key, nil)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fresh)) {
		value := fresh[key]
		d.put(key, &value)
	}
}

func (d *derived[I, O]) forget(key string) {
	for r := range d.reads[key] {
		delete(d.readers[r], key)
		if len(d.readers[r]) == 0 {
			delete(d.readers, r)
		}
	}
	delete(d.reads, key)
	delete(d.outputs, key)
}

func (d *derived[I, O]) remember(key string, reads map[read]struct{}) {
	d.reads[key] = reads
	for r := range reads {
		if d.readers[r] == nil {
			d.readers[r] = map[string]struct{}{}
		}
		d.readers[r][key] = struct{}{}
	}
}
