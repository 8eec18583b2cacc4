// Package ebbgate_test holds the repository to its own rules: import walls, package comments, sizes, the list of
// dependencies (repo_test.go), and documentation that loads and is complete (docs_test.go). It tests no behaviour.
package ebbgate_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const self = "github.com/ebbgate/ebbgate"

// wall says what the shipped files of a folder may import.
type wall struct {
	folder  string
	own     []string // our folders that it may see besides itself and what is below it; nil is all
	foreign []string // other modules and standard packages that it may not see
	only    []string // where set, the only other modules that it may see
}

// walls are the import walls of ARCHITECTURE.md. A file is held to every wall of a folder that it is in.
var walls = []wall{
	{folder: "api", own: []string{}, only: []string{"k8s.io/api", "k8s.io/apimachinery", "sigs.k8s.io/gateway-api"}},
	{folder: "internal/exchange", own: []string{}, only: []string{}},
	{folder: "internal/plan", own: []string{}, only: []string{}},
	{folder: "internal/problem", own: []string{}, only: []string{}},
	{folder: "internal/http1", own: []string{"internal/exchange"}, only: []string{}},
	{folder: "internal/provider", own: []string{"internal/exchange"}, only: []string{}},
	{
		folder:  "internal/proxy",
		own:     []string{"internal/exchange", "internal/http1", "internal/plan", "internal/policy", "internal/problem", "internal/provider"},
		foreign: []string{"k8s.io", "sigs.k8s.io", "istio.io"},
	},
	{
		folder:  "internal/policy",
		own:     []string{"api", "internal/exchange", "internal/http1", "internal/plan", "internal/problem"}, // http1 for its normal form of paths
		foreign: []string{"k8s.io/client-go", "istio.io"},
	},
	{
		folder:  "internal/translate",
		own:     []string{"api", "internal/derive", "internal/exchange", "internal/plan", "internal/policy", "internal/problem", "internal/source"},
		foreign: []string{"net/http", "os", "k8s.io/client-go"},
	},
	{folder: "internal/provision", own: []string{"api", "internal/plan", "internal/problem"}},
	{folder: "internal/report", own: []string{"internal/exchange"}, only: []string{}},
	{
		folder:  "internal/distribute",
		own:     []string{"internal/plan", "internal/problem", "internal/report"},
		foreign: []string{"k8s.io", "sigs.k8s.io", "istio.io"},
	},
	{
		folder: "internal/demo", // the gateway as an operator has it: nothing of what is inside
		own: []string{
			"internal/problem", "internal/schema", "internal/source/file", "internal/standalone", "internal/testkit/ca", "internal/testkit/provider",
		},
	},
	{
		folder:  "internal/dataplane",
		own:     []string{"internal/exchange", "internal/observe", "internal/plan", "internal/policy/order", "internal/problem", "internal/proxy", "internal/report"},
		foreign: []string{"k8s.io", "sigs.k8s.io", "istio.io"},
	},
	{folder: "internal/command", own: []string{}, foreign: []string{"k8s.io", "sigs.k8s.io"}},
	{folder: "internal/source/kube", own: []string{"internal/plan", "internal/schema", "internal/source", "internal/source/reach"}},
	{folder: "internal/source/issuer", own: []string{"internal/plan", "internal/source/reach"}},
	{folder: "internal/source/pods", own: []string{"internal/plan", "internal/source/reach"}},
	{folder: "internal/source/reach", own: []string{}},
	{folder: "internal/status", own: []string{"internal/source", "internal/translate"}},
	{
		folder:  "internal/observe",
		own:     []string{"internal/exchange", "internal/plan", "internal/policy", "internal/problem"},
		foreign: []string{"k8s.io", "sigs.k8s.io", "istio.io"},
	},
}

// below reports whether an import path or folder is base or inside it.
func below(name, base string) bool { return name == base || strings.HasPrefix(name, base+"/") }

func anyBelow(name string, bases []string) bool {
	return slices.ContainsFunc(bases, func(base string) bool { return below(name, base) })
}

func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// breach says what is wrong with an import by a folder's shipped files; empty where nothing is.
func (w wall) breach(folder, imported string) string {
	if !below(folder, w.folder) {
		return ""
	}
	if below(imported, self) {
		inside := strings.TrimPrefix(strings.TrimPrefix(imported, self), "/")
		if w.own == nil || below(inside, w.folder) || slices.Contains(w.own, inside) || anyBelow(inside, w.own) && inside != "internal/policy/order" {
			return ""
		}
		return "may not import " + inside
	}
	if anyBelow(imported, w.foreign) || w.only != nil && !standard(imported) && !anyBelow(imported, w.only) {
		return "may not import " + imported
	}
	return ""
}

func TestWallsFindBreaches(t *testing.T) {
	for _, c := range []struct {
		folder, imported string
		breached         bool
	}{
		{"internal/proxy/dial", self + "/internal/plan", false},
		{"internal/proxy/dial", self + "/internal/proxy/watch", false},
		{"internal/proxy/dial", self + "/internal/translate/route", true},
		{"internal/proxy", self + "/internal/policy/order", true},
		{"internal/proxy", "k8s.io/api/core/v1", true},
		{"internal/proxyless", "k8s.io/api/core/v1", false},
		{"internal/translate/route", "os/exec", true},
		{"internal/translate/route", "net/netip", false},
		{"api/v1alpha1", "k8s.io/apimachinery/pkg/runtime", false},
		{"api/v1alpha1", "k8s.io/api/core/v1", false},
		{"api/v1alpha1", "k8s.io/client-go/kubernetes", true},
		{"internal/exchange", self + "/internal/plan", true},
	} {
		breached := slices.ContainsFunc(walls, func(w wall) bool { return w.breach(c.folder, c.imported) != "" })
		if breached != c.breached {
			t.Errorf("%s imports %s: breach is %t, want %t", c.folder, c.imported, breached, c.breached)
		}
	}
}

// dependencies are the modules that our own files import, each with why it is here. A new one is a line to argue for.
var dependencies = map[string]string{
	"github.com/KimMachineGun/automemlimit":        "command: how much memory a container has, of either version of control groups",
	"github.com/VictoriaMetrics/metricsql":         "tests: queries of alert rules and dashboard, parsed",
	"github.com/dunglas/httpsfv":                   "proxy/hop: structured fields (RFC 9651), as Ebbgate-Hop is one",
	"github.com/envoyproxy/go-control-plane/envoy": "distribute: the messages of delta xDS",
	"github.com/fsnotify/fsnotify":                 "source/file hears of changed files without asking every second",
	"github.com/google/go-containerregistry":       "deploy/image, a module of its own: images of containers and their way to a registry, without Docker",
	"github.com/go-jose/go-jose/v4":                "proxy/identify: ServiceAccount tokens and the keys that verify them (RFC 7515, 7517, 7519)",
	"github.com/google/pprof":                      "test/bench: what CPU time was spent on",
	"github.com/google/go-cmp":                     "tests: differences of structures that a person can read",
	"github.com/miekg/dns":                         "proxy/resolve: messages, and what resolv.conf says; testkit's name server",
	"github.com/prometheus/client_golang":          "observe, controller: metrics in the format that every monitoring reads",
	"github.com/rogpeppe/go-internal":              "tests: golden cases as txtar files, commands as testscript files",
	"github.com/spf13/cobra":                       "the command: subcommands, flags, help and completion",
	"github.com/summerwind/h2spec":                 "test/h2spec, a module of its own: tests of servers of HTTP/2 that others wrote",
	"go.uber.org/goleak":                           "tests: no goroutine outlives what started it",
	"go.yaml.in/yaml/v3":                           "source/file: YAML nodes with their lines, for problems that say where",
	"golang.org/x/net":                             "dial: extended CONNECT, which net/http's client refuses; testkit: frames and HPACK of HTTP/2, for far sides and clients that misbehave",
	"golang.org/x/sys":                             "proxy/watch polls many sockets with one system call",
	"google.golang.org/genproto/googleapis/rpc":    "distribute: the status in which a proxy rejects",
	"google.golang.org/grpc":                       "distribute: the plan's way to the proxies; testkit/grpcecho: a gRPC server and client that others wrote, to stand at both ends of us",
	"google.golang.org/protobuf":                   "distribute: payloads in messages; testkit/grpcecho: details of a status",
	"k8s.io/api":                                   "the core kinds that we read: Service, Secret, EndpointSlice",
	"k8s.io/apiextensions-apiserver":               "schema checks and defaults as an API server would, with the CRDs' own schemas and rules",
	"k8s.io/apimachinery":                          "what every Kubernetes object is made of",
	"k8s.io/apiserver":                             "schema: the CEL library and cost limits that an API server gives rules",
	"k8s.io/klog/v2":                               "client-go's lines in our log",
	"k8s.io/client-go":                             "reads and writes what a cluster's API server holds",
	"sigs.k8s.io/gateway-api":                      "the standard kinds, and their CRDs",
	"sigs.k8s.io/gateway-api/conformance":          "test/conformance, a module of its own: the suite of the standard",
	"sigs.k8s.io/json":                             "schema: decoding of the core kinds that refuses unknown fields",
	"sigs.k8s.io/yaml":                             "YAML as Kubernetes reads it, by way of JSON",
}

func TestDependencies(t *testing.T) {
	required := map[string][]string{} // by folder of a go.mod
	used := map[string]string{}       // module to a file that imports it
	for _, f := range goFiles(t) {
		home := f.module(t)
		if required[home] == nil {
			required[home] = requirements(t, home)
		}
		for _, imported := range f.imports() {
			if standard(imported) || below(imported, self) {
				continue
			}
			module := ""
			for _, m := range required[home] {
				if below(imported, m) && len(m) > len(module) {
					module = m
				}
			}
			if module == "" {
				t.Errorf("%s imports %s, which %s/go.mod does not require", f.name, imported, home)
			}
			used[module] = f.name
		}
	}
	for _, module := range slices.Sorted(maps.Keys(used)) {
		if dependencies[module] == "" {
			t.Errorf("%s imports from %s, which the list of dependencies in repo_test.go gives no reason for", used[module], module)
		}
	}
	for _, module := range slices.Sorted(maps.Keys(dependencies)) {
		if used[module] == "" {
			t.Errorf("nothing imports %s: remove it from the list of dependencies in repo_test.go", module)
		}
	}
}

// module is the folder of the go.mod that a file belongs to: tools that are not shipped have their own.
func (f goFile) module(t *testing.T) string {
	t.Helper()
	for folder := f.folder(); ; folder = path.Dir(folder) {
		_, err := os.Stat(filepath.FromSlash(path.Join(folder, "go.mod")))
		if err == nil || folder == "." {
			return folder
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// requirements are the modules that a folder's go.mod requires, directly or not.
func requirements(t *testing.T, folder string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(path.Join(folder, "go.mod")))
	if err != nil {
		t.Fatal(err)
	}
	var modules []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v\d`).FindAllSubmatch(text, -1) {
		modules = append(modules, string(m[1]))
	}
	return modules
}

func TestImportWalls(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test() {
			continue
		}
		for _, imported := range f.imports() {
			for _, w := range walls {
				if breach := w.breach(f.folder(), imported); breach != "" {
					t.Errorf("%s: %s %s", f.name, w.folder, breach)
				}
			}
		}
	}
}

// TestDataPathLinksNoClient holds what walls on direct imports cannot: the proxy, with what brings it its plan, stays small
// through its dependencies too. The command has our kinds' types along with the kinds.
func TestDataPathLinksNoClient(t *testing.T) {
	foreign := []string{"k8s.io/client-go", "k8s.io/apiserver", "k8s.io/apiextensions-apiserver", "istio.io", self + "/internal/translate"}
	for packages, never := range map[string][]string{
		"./internal/proxy/... ./internal/distribute": append([]string{self + "/api"}, foreign...),
		"./cmd/ebbgate-proxy":                        foreign,
	} {
		args := append([]string{"list", "-deps"}, strings.Fields(packages)...)
		out, err := exec.CommandContext(t.Context(), "go", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		for linked := range strings.FieldsSeq(string(out)) {
			if anyBelow(linked, never) {
				t.Errorf("%s links %s", packages, linked)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	documented := map[string]bool{}
	names := map[string]string{}
	for _, f := range goFiles(t) {
		name := f.syntax.Name.Name
		key := f.folder() + " " + strings.TrimSuffix(name, "_test")
		names[key] = f.name
		want := "Package " + name + " "
		if name == "main" {
			want = "Command "
		}
		if strings.HasPrefix(f.syntax.Doc.Text(), want) {
			documented[key] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(names)) {
		if !documented[key] {
			t.Errorf("%s: no file of the package has a comment that begins with Package NAME, or Command NAME", names[key])
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, f := range goFiles(t) {
		for _, declaration := range f.syntax.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && function.Name.Name == "init" && !ast.IsGenerated(f.syntax) {
				t.Errorf("%s: init runs unasked and in no order: have the caller call a function", f.name)
			}
		}
	}
}

func TestFileLength(t *testing.T) {
	const most = 500
	for _, f := range goFiles(t) {
		if lines := bytes.Count(f.text, []byte("\n")); lines > most && !f.test() && !ast.IsGenerated(f.syntax) {
			t.Errorf("%s has %d lines, %d at most: split it by what its parts are", f.name, lines, most)
		}
	}
}

// machine matches paths of one machine, which mean nothing on another.
var machine = regexp.MustCompile(`(^|[^\w.*/-])(/(work|farm|root|Users|home/\w+)/|/tmp/(bash_jobs|scratch|kube)\b)`)

func TestNoPathsOfOneMachine(t *testing.T) {
	for _, name := range files(t) {
		text := read(t, name)
		if bytes.IndexByte(text, 0) >= 0 {
			continue // no text
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := machine.FindString(line); found != "" {
				t.Errorf("%s:%d: %s is a path of one machine", name, i+1, strings.TrimSpace(found))
			}
		}
	}
}

// goFile is one parsed file.
type goFile struct {
	name   string
	text   []byte
	syntax *ast.File
}

func (f goFile) folder() string { return path.Dir(f.name) }
func (f goFile) test() bool     { return strings.HasSuffix(f.name, "_test.go") }

func (f goFile) imports() []string {
	list := make([]string, len(f.syntax.Imports))
	for i, spec := range f.syntax.Imports {
		list[i], _ = strconv.Unquote(spec.Path.Value) // the parser has unquoted it once
	}
	return list
}

func goFiles(t *testing.T) []goFile {
	t.Helper()
	var list []goFile
	for _, name := range files(t) {
		if path.Ext(name) != ".go" || strings.Contains(name, "/testdata/") {
			continue
		}
		text := read(t, name)
		syntax, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, goFile{name: name, text: text, syntax: syntax})
	}
	return list
}

// files are all files that are or could be committed, as slash-separated names.
func files(t *testing.T) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains([]string{".git", ".cache", "bin", "node_modules"}, entry.Name()):
			return filepath.SkipDir
		case entry.Type().IsRegular():
			list = append(list, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
