package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a module as `go list` tells of it.
type module struct {
	Path    string
	Version string
	Dir     string
	Main    bool
	Replace *module
}

// linked are the modules of which a program links at least one package, ordered by path, Go's own library first.
func linked(ctx context.Context, programs []string) ([]module, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-json=Module"}, programs...)...)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64") // the same file on every machine
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	seen := map[string]module{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ Module *module }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read go list: %w", err)
		}
		if m := p.Module; m != nil && !m.Main {
			if m.Replace != nil {
				m = m.Replace
			}
			seen[m.Path] = *m
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("no module is linked by %s", strings.Join(programs, " "))
	}
	list := make([]module, 0, len(seen)+1)
	for _, m := range seen {
		list = append(list, m)
	}
	slices.SortFunc(list, func(a, b module) int { return strings.Compare(a.Path, b.Path) })
	library, err := standardLibrary(seen)
	return append([]module{library}, list...), err
}

// standardLibrary is what every Go program links. Its version is left out, since any Go that is new enough builds us, and
// its licence is read from a module of the same authors: not every packager of Go ships the file.
func standardLibrary(seen map[string]module) (module, error) {
	same, ok := seen["golang.org/x/sys"]
	if !ok {
		return module{}, errors.New("golang.org/x/sys is not linked: read the licence of Go's own library from another module")
	}
	return module{Path: "Go standard library", Dir: same.Dir}, nil
}

// part is a module with its legal texts.
type part struct {
	module
	licences []string // names, as in SPDX
	texts    []string // licence files but plain Apache-2.0 ones, which LICENSE has
	notices  []string
}

var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// collect reads the legal files at each module's top.
func collect(modules []module) ([]part, error) {
	parts := make([]part, 0, len(modules))
	for _, m := range modules {
		p := part{module: m}
		entries, err := os.ReadDir(m.Dir)
		if err != nil {
			return nil, fmt.Errorf("read module %s: %w", m.Path, err)
		}
		for _, e := range entries {
			if e.IsDir() || !legal.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
			if err != nil {
				return nil, fmt.Errorf("read module %s: %w", m.Path, err)
			}
			p.add(e.Name(), clean(text))
		}
		if len(p.licences) == 0 {
			return nil, fmt.Errorf("module %s has no licence that is known here: see %s", m.Path, m.Dir)
		}
		slices.Sort(p.licences)
		p.licences = slices.Compact(p.licences)
		parts = append(parts, p)
	}
	return parts, nil
}

func (p *part) add(name, text string) {
	if strings.HasPrefix(strings.ToLower(name), "notice") {
		p.notices = append(p.notices, text)
		return
	}
	found := identify(text)
	p.licences = append(p.licences, found...)
	if !slices.Equal(found, []string{"Apache-2.0"}) {
		p.texts = append(p.texts, text)
	}
}

// clean gives texts one form of line ends, so that equal ones are equal.
func clean(text []byte) string {
	lines := strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}
