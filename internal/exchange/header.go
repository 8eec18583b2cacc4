package exchange

import (
	"iter"
	"slices"
	"strings"
)

// Field is one header or trailer field as it stood on the wire: the name with its case, the value without surrounding whitespace.
type Field struct{ Name, Value string }

// Header is an ordered list of fields. Names compare case-insensitively (RFC 9110, section 5.1); order, case and
// duplicates are kept. The zero value is empty and ready.
type Header struct{ fields []Field }

// Len is the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Fields are the fields in order. The slice belongs to the header and is valid until its next change.
func (h *Header) Fields() []Field { return h.fields }

// All iterates over the fields in order.
func (h *Header) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, f := range h.fields {
			if !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

// Get is the field's combined value: several fields of the name are joined by ", " (RFC 9110, section 5.3), so that
// nothing can decide on the first of several. It is empty where the field is absent.
func (h *Header) Get(name string) string {
	value, more := "", false
	for _, f := range h.fields {
		switch {
		case !EqualFold(f.Name, name):
		case more:
			value += ", " + f.Value
		default:
			value, more = f.Value, true
		}
	}
	return value
}

// Values are the values of every field of the name, in order.
func (h *Header) Values(name string) []string {
	var values []string
	for _, f := range h.fields {
		if EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Has reports whether a field of the name is present, be its value empty.
func (h *Header) Has(name string) bool {
	for _, f := range h.fields {
		if EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// Set leaves exactly one field of the name: at the place of the first, or at the end.
func (h *Header) Set(name, value string) {
	for i, f := range h.fields {
		if EqualFold(f.Name, name) {
			h.fields[i] = Field{name, value}
			h.delete(name, i+1)
			return
		}
	}
	h.fields = append(h.fields, Field{name, value})
}

// Add appends a field.
func (h *Header) Add(name, value string) { h.fields = append(h.fields, Field{name, value}) }

// Del removes every field of the name.
func (h *Header) Del(name string) { h.delete(name, 0) }

// Filter removes the fields for which keep is false.
func (h *Header) Filter(keep func(Field) bool) {
	kept := h.fields[:0]
	for _, f := range h.fields {
		if keep(f) {
			kept = append(kept, f)
		}
	}
	clear(h.fields[len(kept):])
	h.fields = kept
}

// Reset empties the header and keeps its memory.
func (h *Header) Reset() {
	clear(h.fields)
	h.fields = h.fields[:0]
}

// CopyFrom makes h a list of its own with the fields of src. The strings are shared.
func (h *Header) CopyFrom(src *Header) {
	h.Reset()
	h.fields = append(h.fields, src.fields...)
}

// Own makes h a list of its own with the fields of src, whose strings are its own too: they outlive the exchange.
func (h *Header) Own(src *Header) {
	size := 0
	for _, f := range src.fields {
		size += len(f.Name) + len(f.Value)
	}
	var room strings.Builder
	room.Grow(size)
	for _, f := range src.fields {
		room.WriteString(f.Name)
		room.WriteString(f.Value)
	}
	rest := room.String()
	h.Reset()
	h.fields = slices.Grow(h.fields, len(src.fields))
	for _, f := range src.fields {
		name, value := rest[:len(f.Name)], rest[len(f.Name):len(f.Name)+len(f.Value)]
		rest = rest[len(f.Name)+len(f.Value):]
		h.fields = append(h.fields, Field{name, value})
	}
}

func (h *Header) delete(name string, from int) {
	for i := from; i < len(h.fields); i++ {
		if EqualFold(h.fields[i].Name, name) {
			rest := h.fields[i:]
			kept := rest[:0]
			for _, f := range rest {
				if !EqualFold(f.Name, name) {
					kept = append(kept, f)
				}
			}
			clear(rest[len(kept):])
			h.fields = h.fields[:i+len(kept)]
			return
		}
	}
}

// EqualFold compares two field names: ASCII letters without case, as tokens are (RFC 9110, section 5.6.2).
func EqualFold(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }
