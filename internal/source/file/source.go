// Package file is the source of configuration that standalone and validate use: folders of YAML, and Secrets that lie
// as files. It reads, parses, checks every object against its schema and tells the line of every field; it watches the
// files and delivers a snapshot after each change. It adds no meaning: whether a reference leads anywhere is translate's
// business. One thing that is wrong anywhere withholds the whole snapshot, since half an edit can drop a guardrail.
//
// No problem that it reports quotes a Secret's value, whatever the document looks like.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/ebbgate/ebbgate/internal/problem"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
)

// Config says what to read.
type Config struct {
	Paths      []string          // files, and folders read with all inside them; at least one
	SecretsDir string            // a folder of Secrets as namespace/name/key; empty: none
	Schema     *schema.Validator // required
	Logger     *slog.Logger      // nil: none
}

// Source reads the files. Its methods may be called at the same time.
type Source struct {
	paths      []string
	secretsDir string
	schema     *schema.Validator
	logger     *slog.Logger
	limits     limits
	pace       pace

	mu        sync.Mutex
	documents map[sum]*document   // of the latest load, by their text
	objects   map[sum]*checked    // of the latest snapshot, by their value
	filled    map[string]bool     // the files that gave the latest snapshot an object
	ignored   map[string]struct{} // foreign kinds that were logged
	told      sum                 // what the latest Load or call of Watch's function saw
}

type sum = [sha256.Size]byte

// limits bound what one folder can cost.
type limits struct {
	files, objects      int
	file, secret, total int64 // bytes
}

// pace is how changes are waited for: a change settles when nothing happened for quiet, and after late at most. Poll
// is how often the files are looked at where the file system tells no changes, as network mounts do not.
type pace struct{ quiet, late, poll time.Duration }

// New checks the configuration; it reads nothing yet.
func New(c Config) (*Source, error) {
	if len(c.Paths) == 0 {
		return nil, errors.New("file source: no path given")
	}
	if c.Schema == nil {
		return nil, errors.New("file source: no schema given")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Source{
		paths: c.Paths, secretsDir: c.SecretsDir, schema: c.Schema, logger: c.Logger,
		limits:    limits{files: 20_000, objects: 20_000, file: 16 << 20, secret: 1 << 20, total: 64 << 20},
		pace:      pace{quiet: 50 * time.Millisecond, late: 500 * time.Millisecond, poll: 2 * time.Second},
		documents: map[sum]*document{}, objects: map[sum]*checked{}, filled: map[string]bool{}, ignored: map[string]struct{}{},
	}, nil
}

// Load reads everything. The problems are all there are, in the order of the files; the snapshot is nil unless each of
// them is a warning.
func (s *Source) Load(ctx context.Context) (*source.Snapshot, []problem.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.load(ctx)
	s.told = state.sum
	return state.snapshot, state.problems
}

// state is the outcome of one load.
type state struct {
	snapshot *source.Snapshot
	problems []problem.Problem
	listing  *listing
	sum      sum // of all that was read: equal when nothing changed
}

const tries = 5

// load reads until nothing has moved meanwhile: a mount that is swapped, or a file that is being written, is no state
// that anyone meant.
func (s *Source) load(ctx context.Context) state {
	pause := s.pace.quiet / 4
	for range tries {
		before := s.list()
		texts, problems := s.read(before)
		if after := s.list(); before.same(after) {
			return s.assemble(ctx, before, texts, problems)
		}
		select {
		case <-ctx.Done():
			return state{problems: []problem.Problem{cancelled}, listing: before}
		case <-time.After(pause):
			pause *= 2
		}
	}
	moving := problem.Problem{File: s.paths[0], Reason: "Unsettled", Message: "the files keep changing while they are read",
		Mend: "write a file under another name and rename it"}
	return state{problems: []problem.Problem{moving}, listing: s.list(), sum: sha256.Sum256([]byte(moving.Reason))}
}

var cancelled = problem.Problem{Reason: "Cancelled", Message: "loading was cancelled"}
