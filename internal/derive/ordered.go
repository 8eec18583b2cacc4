package derive

import (
	"maps"
	"slices"
)

// Ordered keeps what becomes of the values of collections sorted by key from commit to commit, so that a large result
// with one change costs a copy of a slice and no sort.
type Ordered[T, O any] struct {
	convert func(key string, value T, last *O) O
	keys    []string
	list    []O
	pending map[string]*T // since the latest List; nil: removed
}

// NewOrdered orders the values of collections that have no key in common. convert makes an element of a value that
// changed; last is what it made of the key's former value, or nil. Make it before the collections are filled.
func NewOrdered[T, O any](convert func(key string, value T, last *O) O, collections ...*Collection[T]) *Ordered[T, O] {
	o := &Ordered[T, O]{convert: convert, pending: map[string]*T{}}
	for _, c := range collections {
		c.indexes = append(c.indexes, func(key string, _, after *T) { o.pending[key] = after })
	}
	return o
}

// List are the elements by key, for use after a Commit. The slice is never written again: where nothing changed it is
// the former one.
func (o *Ordered[T, O]) List() []O {
	if len(o.pending) == 0 {
		return o.list
	}
	changed := slices.Sorted(maps.Keys(o.pending))
	keys, list := make([]string, 0, len(o.keys)+len(changed)), make([]O, 0, len(o.keys)+len(changed))
	from := 0
	for _, key := range changed {
		at, found := slices.BinarySearch(o.keys[from:], key)
		at += from
		keys, list = append(keys, o.keys[from:at]...), append(list, o.list[from:at]...)
		var last *O
		from = at
		if found {
			last = &o.list[at]
			from++
		}
		if value := o.pending[key]; value != nil {
			keys, list = append(keys, key), append(list, o.convert(key, *value, last))
		}
	}
	o.keys, o.list = append(keys, o.keys[from:]...), append(list, o.list[from:]...)
	clear(o.pending)
	return o.list
}

// Count reads how many values an index finds at key.
func Count[T any](r *Reader, ix *Index[T], key string) int {
	r.note(ix, key)
	return len(ix.members[key])
}
