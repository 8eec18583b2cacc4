package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/problem"
)

const maxFolders = 32 // folders inside folders

// entry is a file to read.
type entry struct {
	path string // as the user would write it
	real string // behind all links
	info fs.FileInfo
	of   *secretName // the Secret that it is a key of; nil for a file of objects
}

// listing is what there is to read, and where a change of it would show.
type listing struct {
	files    []entry
	secrets  []secretName // in order, those without a key too
	problems []problem.Problem
	watch    map[string]map[string]bool // real folder → the names in it that matter; "" is every name
	seen     map[string]bool            // real paths: what two links lead to is read once, and no loop is walked
	limit    int
}

// list looks at every path. It reads no file.
func (s *Source) list() *listing {
	l := &listing{watch: map[string]map[string]bool{}, seen: map[string]bool{}, limit: s.limits.files}
	if real, err := filepath.EvalSymlinks(s.secretsDir); err == nil && s.secretsDir != "" {
		// A key.json in a Secrets' folder that lies among the objects is a credential, not an object.
		if real, err = filepath.Abs(real); err == nil {
			l.seen[real] = true
		}
	}
	for _, path := range s.paths {
		l.root(path)
	}
	if s.secretsDir != "" {
		l.mounts(s.secretsDir)
	}
	return l
}

func (l *listing) fail(path, reason, message, mend string) {
	l.problems = append(l.problems, problem.Problem{File: path, Reason: reason, Message: message, Mend: mend})
}

// heed notes that a change of the name in the folder matters.
func (l *listing) heed(folder, name string) {
	if l.watch[folder] == nil {
		l.watch[folder] = map[string]bool{}
	}
	l.watch[folder][name] = true
}

// resolve is the file behind the links of path. A path through a link is watched at both ends.
func (l *listing) resolve(path string) (real string, info fs.FileInfo, err error) {
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return "", nil, err
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", nil, err
	}
	if info, err = os.Stat(real); err != nil {
		return "", nil, err
	}
	l.heed(filepath.Dir(real), filepath.Base(real))
	return real, info, nil
}

// root lists one -f: a folder, or a file of whatever name.
func (l *listing) root(path string) {
	if parent, err := filepath.Abs(filepath.Dir(filepath.Clean(path))); err == nil {
		l.heed(parent, filepath.Base(path))
	}
	real, info, err := l.resolve(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.fail(path, "Missing", "there is no such file or folder", "name a folder of YAML files, or a YAML file")
	case err != nil:
		l.unreadable(path, err)
	case info.IsDir():
		before, troubles := len(l.files), len(l.problems)
		l.folder(path, real, 0)
		if len(l.files) == before && len(l.problems) == troubles {
			l.fail(path, "Empty", "the folder holds no .yaml, .yml or .json file", "put the objects' YAML into it, or name another folder")
		}
	default:
		l.file(path, real, info, nil)
	}
}

func (l *listing) unreadable(path string, err error) {
	l.fail(path, "Unreadable", "it cannot be read: "+cause(err), "let the user that Ebbgate runs as read it")
}

// cause is the system's own word for an error, without the paths around it.
func cause(err error) string {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err.Error()
	}
	return err.Error()
}

func (l *listing) file(path, real string, info fs.FileInfo, of *secretName) {
	switch {
	case l.seen[real]:
	case !info.Mode().IsRegular():
		l.fail(path, "Unreadable", "it is neither a file nor a folder", "put a file in its place")
	case len(l.files) >= l.limit:
		if len(l.files) == l.limit { // said once: the entry without a file marks it
			l.fail(path, "TooLarge", fmt.Sprintf("there are more than %d files", l.limit), "put several objects into one file")
			l.files = append(l.files, entry{})
		}
	default:
		l.seen[real] = true
		l.files = append(l.files, entry{path, real, info, of})
	}
}

// folder lists a folder and those inside it in lexical order. Hidden names are no configuration: editors, version
// control and the ..data of a kubelet's mount use them; what links lead to from outside is found all the same.
func (l *listing) folder(path, real string, depth int) {
	if l.seen[real] {
		return
	}
	l.seen[real] = true
	l.heed(real, "")
	if depth > maxFolders {
		l.fail(path, "TooLarge", fmt.Sprintf("folders are nested more than %d deep", maxFolders), "move them up")
		return
	}
	names, err := os.ReadDir(real)
	if err != nil {
		l.unreadable(path, err)
		return
	}
	for _, name := range names {
		if strings.HasPrefix(name.Name(), ".") || leftover(name.Name()) {
			continue
		}
		l.member(filepath.Join(path, name.Name()), filepath.Join(real, name.Name()), name.Type(), depth)
	}
}

func (l *listing) member(path, real string, mode fs.FileMode, depth int) {
	wanted := slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path))
	if !mode.IsDir() && !wanted && mode&fs.ModeSymlink == 0 {
		return
	}
	target, info, err := l.follow(real, mode)
	switch {
	case err != nil && !wanted && mode&fs.ModeSymlink != 0: // a link to nowhere that no one would take for a file of ours
	case errors.Is(err, fs.ErrNotExist):
		l.fail(path, "Unreadable", "the link leads nowhere", "mend or remove the link")
	case err != nil:
		l.unreadable(path, err)
	case info.IsDir():
		l.folder(path, target, depth+1)
	case wanted:
		l.file(path, target, info, nil)
	}
}

// follow is resolve for a member of a resolved folder, where only a link needs looking up.
func (l *listing) follow(real string, mode fs.FileMode) (string, fs.FileInfo, error) {
	if mode&fs.ModeSymlink != 0 {
		return l.resolve(real)
	}
	info, err := os.Lstat(real)
	return real, info, err
}

// leftover tells the names that editors leave beside a file: backups, locks, swap files, vim's probe.
func leftover(name string) bool {
	return strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp") || strings.HasSuffix(name, ".swx") ||
		strings.HasPrefix(name, ".#") || name == "4913"
}

// same tells whether nothing has moved between two listings, as far as names, sizes and times tell.
func (l *listing) same(o *listing) bool {
	return slices.Equal(l.secrets, o.secrets) && slices.Equal(l.problems, o.problems) &&
		slices.EqualFunc(l.files, o.files, func(a, b entry) bool {
			if a.info == nil || b.info == nil {
				return a.info == b.info
			}
			return a.path == b.path && a.real == b.real && a.info.Size() == b.info.Size() &&
				a.info.ModTime().Equal(b.info.ModTime()) && os.SameFile(a.info, b.info)
		})
}
