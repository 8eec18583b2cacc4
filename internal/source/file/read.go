package file

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/ebbgate/ebbgate/internal/problem"
)

// text is what stands in a file.
type text struct {
	entry
	content []byte
}

// read reads every file of the listing. One that is gone meanwhile shows in the next listing.
func (s *Source) read(l *listing) ([]text, []problem.Problem) {
	texts := make([]text, 0, len(l.files))
	var problems []problem.Problem
	var total int64
	for _, e := range l.files {
		if e.info == nil {
			continue
		}
		t, p := s.readFile(e)
		if total += int64(len(t.content)); p == nil && total > s.limits.total {
			p = &problem.Problem{File: e.path, Reason: "TooLarge", Mend: "take away what is not configuration",
				Message: fmt.Sprintf("all files together are larger than %d MiB", s.limits.total>>20)}
		}
		if p != nil {
			problems = append(problems, *p)
		}
		if total > s.limits.total {
			break
		}
		if p == nil {
			texts = append(texts, t)
		}
	}
	return texts, problems
}

func (s *Source) readFile(e entry) (text, *problem.Problem) {
	limit := s.limits.file
	if e.of != nil {
		limit = s.limits.secret
	}
	f, err := os.Open(e.real)
	if err != nil {
		return text{}, &problem.Problem{File: e.path, Reason: "Unreadable", Message: "it cannot be read: " + cause(err),
			Mend: "let the user that Ebbgate runs as read it"}
	}
	defer func() { _ = f.Close() }() // opened to read: closing it loses nothing
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return text{}, &problem.Problem{File: e.path, Reason: "Unreadable", Message: "it cannot be read: " + cause(err)}
	case int64(len(content)) > limit:
		return text{}, &problem.Problem{File: e.path, Reason: "TooLarge", Message: fmt.Sprintf("it is larger than %d MiB", limit>>20),
			Mend: "split it"}
	case e.of == nil && !utf8.Valid(content):
		return text{}, &problem.Problem{File: e.path, Reason: "InvalidYAML", Message: "it is not UTF-8 text", Mend: "save it as UTF-8"}
	}
	return text{e, content}, nil
}

// sumOf is equal for two loads that saw the same files with the same content and the same troubles.
func sumOf(texts []text, problems []problem.Problem) sum {
	h := sha256.New()
	for _, t := range texts {
		_, _ = fmt.Fprintf(h, "%q %x\n", t.path, sha256.Sum256(t.content)) // a hash never fails to write
	}
	for _, p := range problems {
		_, _ = fmt.Fprintf(h, "%q\n", p.String())
	}
	return sum(h.Sum(nil))
}
