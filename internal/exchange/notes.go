package exchange

import (
	"context"
	"sync"
)

// Notes gathers what policies in mode Report would have refused in steps that run beside the exchange's own goroutine:
// addresses and handshakes. A connection has one, in its context.
type Notes struct {
	mu   sync.Mutex
	list []Refusal
}

type notesKey struct{}

// WithNotes is a context whose exchanges take notes.
func WithNotes(ctx context.Context) context.Context {
	return context.WithValue(ctx, notesKey{}, &Notes{})
}

// NotesOf are the notes of the context, nil where it takes none.
func NotesOf(ctx context.Context) *Notes {
	notes, _ := ctx.Value(notesKey{}).(*Notes)
	return notes
}

// maxNotes bounds what one attempt may note.
const maxNotes = 32

// Add notes a refusal that was let pass. It may be called by many at once, and on nil.
func (n *Notes) Add(r Refusal) {
	if n == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) < maxNotes {
		n.list = append(n.list, r)
	}
}

// Take empties the notes into list.
func (n *Notes) Take(list []Refusal) []Refusal {
	if n == nil {
		return list
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	list = append(list, n.list...)
	n.list = n.list[:0]
	return list
}
