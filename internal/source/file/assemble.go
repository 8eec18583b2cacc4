package file

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/source"
)

// assembly is one load in the making.
type assembly struct {
	source    *Source
	problems  []problem.Problem
	objects   map[string]source.Object
	places    map[string]place
	count     int
	documents map[sum]*document
	cache     map[sum]*checked
	filled    map[string]bool
}

// assemble makes a snapshot of the texts.
func (s *Source) assemble(ctx context.Context, l *listing, texts []text, problems []problem.Problem) state {
	a := &assembly{
		source: s, problems: append(l.problems, problems...), objects: map[string]source.Object{}, places: map[string]place{},
		documents: map[sum]*document{}, cache: map[sum]*checked{}, filled: map[string]bool{},
	}
	out := state{listing: l, sum: sumOf(texts, a.problems)}
	keys := map[secretName]map[string][]byte{}
	for _, secret := range l.secrets {
		keys[secret] = map[string][]byte{}
	}
	for _, t := range texts {
		if t.of != nil {
			keys[*t.of][t.key()] = t.content
			continue
		}
		a.file(ctx, t)
	}
	for _, secret := range l.secrets {
		a.mounted(ctx, secret, keys[secret])
	}
	if ctx.Err() != nil {
		// A check that was cut short proves nothing, so that nothing of it is kept.
		return state{problems: []problem.Problem{cancelled}, listing: l}
	}
	a.nothing()
	slices.SortStableFunc(a.problems, func(p, q problem.Problem) int {
		return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line))
	})
	s.documents = a.documents
	if out.problems = a.problems; len(out.problems) == 0 {
		s.objects, s.filled = a.cache, a.filled
		out.snapshot = &source.Snapshot{Objects: a.objects, Locate: locator(a.places)}
	}
	return out
}

// nothing makes a problem of a configuration without an object, which nobody means.
func (a *assembly) nothing() {
	if len(a.objects) == 0 && len(a.problems) == 0 {
		a.problems = append(a.problems, problem.Problem{File: a.source.paths[0], Reason: "Empty",
			Message: "no object of a kind that Ebbgate serves is in it", Mend: "begin with a Gateway, a Backend and an HTTPRoute"})
	}
}

func (a *assembly) fail(file string, above int, f fault) {
	p := problem.Problem{File: file, Object: f.object, Field: f.field, Reason: f.reason, Message: f.message, Mend: f.mend}
	if f.line > 0 {
		p.Line = f.line + above
	}
	if f.first > 0 {
		p.Message += fmt.Sprintf(", first in line %d", f.first+above)
	}
	if f.object != "" {
		p.Condition = "Accepted"
	}
	a.problems = append(a.problems, p)
}

// file takes the objects of one file.
func (a *assembly) file(ctx context.Context, t text) {
	if a.source.filled[t.path] && len(bytes.TrimSpace(t.content)) == 0 {
		// An editor that truncates before it writes passes through here, and so does a full disk.
		a.fail(t.path, 0, fault{reason: "Empty", message: "the file had objects and is empty now", mend: "remove the file if they are to go"})
		return
	}
	for _, c := range split(t.content) {
		hash := sha256.Sum256(c.text)
		d := a.source.documents[hash]
		if d == nil {
			d = a.documents[hash]
		}
		if d == nil {
			d = parse(c.text)
		}
		a.documents[hash] = d
		for _, f := range d.faults {
			a.fail(t.path, c.above, f)
		}
		for _, w := range d.objects {
			if !a.room(t.path) {
				return
			}
			a.object(ctx, place{file: t.path, above: c.above, node: w.node}, w)
		}
	}
}

// room counts one more object.
func (a *assembly) room(file string) bool {
	limit := a.source.limits.objects
	if a.count++; a.count == limit+1 {
		a.fail(file, 0, fault{reason: "TooLarge", message: fmt.Sprintf("there are more than %d objects", limit), mend: "take away what is not used"})
	}
	return a.count <= limit
}

// mounted takes a Secret that lies as files.
func (a *assembly) mounted(ctx context.Context, secret secretName, keys map[string][]byte) {
	if a.room(secret.path) {
		a.object(ctx, place{file: secret.path, mounted: true}, &written{value: compose(secret, keys)})
	}
}

// object checks one object and gives it its place.
func (a *assembly) object(ctx context.Context, at place, w *written) {
	c := w.checked
	if c == nil {
		c = a.source.check(ctx, w.value)
		if ctx.Err() != nil {
			return
		}
		w.checked, w.value = c, nil
	}
	for _, f := range c.faults(w) {
		a.fail(at.file, at.above, f)
	}
	if c.foreign != nil {
		a.source.ignore(*c.foreign, at)
		return
	}
	if c.name == "" {
		return
	}
	if before, ok := a.places[c.name]; ok {
		a.fail(at.file, at.above, fault{line: at.line() - at.above, object: c.name, reason: "Duplicate",
			message: "the object stands in " + before.String() + " already", mend: "keep one of the two"})
		return
	}
	a.places[c.name] = at
	if c.object != nil {
		a.objects[c.name], a.cache[c.sum], a.filled[at.file] = c.object, c, true
	}
}
