package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// small is a module with one program, which links one other module.
func small(t *testing.T) string {
	t.Helper()
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for file, text := range map[string]string{
		"go.mod": "module example.com/small\n\ngo 1.26.0\n\nrequire github.com/opencontainers/go-digest v1.0.0\n",
		"go.sum": string(sums),
		"cmd/small/main.go": `package main

import (
	"fmt"

	"github.com/opencontainers/go-digest"
)

var version string

func main() { fmt.Println(version, digest.Canonical) }
`,
		"LICENSE": "licence", "NOTICE": "notice", "THIRD_PARTY_NOTICES.md": "notices",
	} {
		file = filepath.Join(folder, file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, folder)
	return folder
}

// commit makes a repository of a folder, with one commit that is the same wherever it is made.
func commit(t *testing.T, folder string) {
	t.Helper()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_SYSTEM="+os.DevNull,
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
			"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args[0], err, out)
		}
	}
}

// made builds images and gives the folder that they are in.
func made(t *testing.T, args ...string) string {
	t.Helper()
	authorities := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authorities, []byte("roots"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	c, err := parse(append([]string{"-out", out, "-ca", authorities}, args...), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c.Log = t.Output()
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out
}

// index is the index of a layout, and its SBOM.
func index(t *testing.T, folder string) (v1.ImageIndex, *v1.Manifest, document) {
	t.Helper()
	whole, err := layout.ImageIndexFromPath(folder)
	if err != nil {
		t.Fatal(err)
	}
	top, err := whole.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Manifests) != 2 {
		t.Fatalf("%d things in the layout, want the image and its SBOM", len(top.Manifests))
	}
	images, err := whole.ImageIndex(top.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	contents, err := whole.Image(top.Manifests[1].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, d := read(t, contents)
	return images, manifest, d
}

func read(t *testing.T, contents v1.Image) (*v1.Manifest, document) {
	t.Helper()
	manifest, err := contents.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := contents.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("layers %d, %v", len(layers), err)
	}
	text, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer text.Close()
	var d document
	if err := json.NewDecoder(text).Decode(&d); err != nil {
		t.Fatal(err)
	}
	return manifest, d
}

func digest(t *testing.T, of interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := of.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// files are all files of a folder, by name.
func files(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		found[name], err = os.ReadFile(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same fails unless two folders have the same files.
func same(t *testing.T, first, second string) {
	t.Helper()
	a, b := files(t, first), files(t, second)
	if len(a) == 0 {
		t.Error("nothing was written")
	}
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs", name)
		}
		delete(b, name)
	}
	for name := range b {
		t.Errorf("%s is in one of two", name)
	}
}

func TestSameCommitSameDigests(t *testing.T) {
	same(t, made(t, "-source", small(t), "-programs", "small"), made(t, "-source", small(t), "-programs", "small"))
}

// TestOurProgramsAreReproducible builds what is shipped in two folders: a path or a time that one of our own files brings
// in would differ.
func TestOurProgramsAreReproducible(t *testing.T) {
	platform := "linux/" + runtime.GOARCH
	entries, err := os.ReadDir("../../cmd")
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, e := range entries {
		programs = append(programs, e.Name())
	}
	var out []string
	for range 2 {
		folder := t.TempDir()
		for _, part := range []string{"api", "cmd", "deploy/crds", "internal"} {
			if err := os.CopyFS(filepath.Join(folder, part), os.DirFS("../../"+part)); err != nil {
				t.Fatal(err)
			}
		}
		for _, file := range []string{"go.mod", "go.sum", "LICENSE", "NOTICE", "THIRD_PARTY_NOTICES.md"} {
			text, err := os.ReadFile("../../" + file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, file), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		commit(t, folder)
		out = append(out, made(t, "-source", folder, "-platforms", platform, "-programs", strings.Join(programs, ",")))
	}
	same(t, out[0], out[1])
}

func TestImage(t *testing.T) {
	out := made(t, "-source", small(t), "-programs", "small", "-tag", "v1.2.3", "-prefix", "registry.example.com/egress")
	images, _, _ := index(t, filepath.Join(out, "small"))
	if err := validate.Index(images); err != nil {
		t.Error(err)
	}
	manifest, err := images.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := images.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.OS != m.Platform.OS || config.Architecture != m.Platform.Architecture || config.Created.Format("2006-01-02") != "2026-01-02" {
			t.Errorf("%s: config is of %s/%s, %s", m.Platform, config.OS, config.Architecture, config.Created)
		}
		c := config.Config
		if c.User != "65532:65532" || !slices.Equal(c.Entrypoint, []string{"/small"}) || !slices.Equal(c.Env, []string{"PATH=/"}) {
			t.Errorf("%s: user %s, entrypoint %s, environment %s", m.Platform, c.User, c.Entrypoint, c.Env)
		}
		for _, labels := range []map[string]string{c.Labels, manifest.Annotations} {
			if labels["org.opencontainers.image.version"] != "v1.2.3" || len(labels["org.opencontainers.image.revision"]) != 40 {
				t.Errorf("%s: labels %v", m.Platform, labels)
			}
		}
		contents(t, image, m.Platform.Architecture)
	}
	if !slices.Equal(platforms, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("platforms %v", platforms)
	}
}

// contents looks at the files of an image as they lie one above the other.
func contents(t *testing.T, image v1.Image, architecture string) {
	t.Helper()
	flat := mutate.Extract(image)
	defer flat.Close()
	var got []string
	for r := tar.NewReader(flat); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %o %d:%d", h.Name, h.Mode, h.Uid, h.Gid))
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Name {
		case "small":
			program(t, text, architecture)
		case "etc/ssl/certs/ca-certificates.crt":
			if string(text) != "roots" {
				t.Errorf("roots are %q", text)
			}
		case "etc/passwd":
			if !strings.Contains(string(text), "nonroot:x:65532:65532:") {
				t.Errorf("users are %q", text)
			}
		}
	}
	slices.Sort(got)
	want := []string{
		"etc 755 0:0", "etc/group 644 0:0", "etc/passwd 644 0:0", "etc/ssl 755 0:0", "etc/ssl/certs 755 0:0", "etc/ssl/certs/ca-certificates.crt 644 0:0",
		"licenses 755 0:0", "licenses/LICENSE 644 0:0", "licenses/NOTICE 644 0:0", "licenses/THIRD_PARTY_NOTICES.md 644 0:0", "small 755 0:0", "tmp 1777 0:0",
	}
	if !slices.Equal(got, want) {
		t.Errorf("files\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// program holds a binary to be static, and to say its version where this machine can run it.
func program(t *testing.T, binary []byte, architecture string) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[architecture]
	if f.Machine != want {
		t.Errorf("binary is for %s, want %s", f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("binary for %s is linked dynamically", architecture)
		}
	}
	if architecture != runtime.GOARCH {
		return
	}
	file := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(file, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), file).Output()
	if err != nil || string(out) != "v1.2.3 sha256\n" {
		t.Errorf("it says %q, %v", out, err)
	}
}

func TestSBOM(t *testing.T) {
	images, manifest, d := index(t, filepath.Join(made(t, "-source", small(t), "-programs", "small", "-tag", "v1.2.3"), "small"))
	if manifest.ArtifactType != "application/spdx+json" || manifest.Subject == nil || manifest.Subject.Digest != digest(t, images) {
		t.Errorf("the artifact is %s about %v", manifest.ArtifactType, manifest.Subject)
	}
	if d.Version != "SPDX-2.3" || d.Creation.Created != "2026-01-02T03:04:05Z" {
		t.Errorf("document %+v", d)
	}
	if u, err := url.Parse(d.Namespace); err != nil || !u.IsAbs() {
		t.Errorf("namespace %q: %v", d.Namespace, err)
	}
	ids := map[string]component{}
	for _, p := range d.Packages {
		if !regexp.MustCompile(`^SPDXRef-[a-zA-Z0-9.-]+$`).MatchString(p.ID) {
			t.Errorf("id %q", p.ID)
		}
		if _, twice := ids[p.ID]; twice {
			t.Errorf("%s twice", p.ID)
		}
		ids[p.ID] = p
	}
	related := map[string]int{}
	for _, r := range d.Relationships {
		if _, ok := ids[r.Related]; !ok {
			t.Errorf("%s %s %s: there is none", r.Element, r.Type, r.Related)
		}
		related[r.Type+" "+ids[r.Related].Name]++
	}
	for what, times := range map[string]int{
		"DESCRIBES ca-certificates": 1, "DESCRIBES example.com/small/cmd/small": 2, "DEPENDS_ON stdlib": 2, "DEPENDS_ON github.com/opencontainers/go-digest": 2,
	} {
		if related[what] != times {
			t.Errorf("%s: %d times, want %d", what, related[what], times)
		}
	}
	module := ids["SPDXRef-module-github.com-2F-opencontainers-2F-go-digest-v1.0.0"]
	if module.Version != "v1.0.0" || len(module.References) != 1 || module.References[0].Locator != "pkg:golang/github.com/opencontainers/go-digest@v1.0.0" ||
		len(module.Checksums) != 1 || len(module.Checksums[0].Value) != 64 {
		t.Errorf("module %+v", module)
	}
}

func TestLoadable(t *testing.T) {
	out := made(t, "-source", small(t), "-programs", "small", "-tag", "v1.2.3", "-platforms", "linux/amd64")
	images, _, _ := index(t, filepath.Join(out, "small"))
	manifest, err := images.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	want, err := images.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(out, "small-linux-amd64.tar")
	name, err := name.NewTag("ebbgate.dev/small:v1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tarball.ImageFromPath(file, &name)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
	wanted, err := want.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if config, err := got.ConfigName(); err != nil || config != wanted {
		t.Errorf("as Docker reads it, it is %s (%v), want %s", config, err, wanted)
	}
}

func TestPush(t *testing.T) {
	for _, referrers := range []bool{true, false} { // or, of registries before OCI 1.1, a tag that lists them
		server := httptest.NewServer(registry.New(registry.WithReferrersSupport(referrers), registry.Logger(log.New(io.Discard, "", 0))))
		defer server.Close()
		host := strings.TrimPrefix(server.URL, "http://")
		out := made(t, "-source", small(t), "-programs", "small", "-tag", "v1.2.3", "-push", host+"/egress")
		images, _, want := index(t, filepath.Join(out, "small"))
		name, err := name.NewTag(host + "/egress/small:v1.2.3")
		if err != nil {
			t.Fatal(err)
		}
		pushed, err := remote.Index(name)
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, pushed) != digest(t, images) {
			t.Errorf("pushed %s, built %s", digest(t, pushed), digest(t, images))
		}
		if err := validate.Index(pushed); err != nil {
			t.Error(err)
		}
		list, err := remote.Referrers(name.Context().Digest(digest(t, images).String()))
		if err != nil {
			t.Fatal(err)
		}
		about, err := list.IndexManifest()
		if err != nil || len(about.Manifests) != 1 || about.Manifests[0].ArtifactType != "application/spdx+json" {
			t.Fatalf("what refers to the image is %+v, %v", about, err)
		}
		sbom, err := remote.Image(name.Context().Digest(about.Manifests[0].Digest.String()))
		if err != nil {
			t.Fatal(err)
		}
		if _, got := read(t, sbom); got.Namespace != want.Namespace {
			t.Errorf("SBOM %s, want %s", got.Namespace, want.Namespace)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-platforms", "linux"}, `"linux" is no platform`},
		{[]string{"-platforms", "windows/amd64"}, `"windows/amd64" is no platform`},
		{[]string{"build"}, `"build" is no flag`},
		{[]string{"-tag", "a b"}, `"a b" is no tag`},
		{[]string{"-tag", "v1 -X main.version=v2"}, `is no tag`},
		{[]string{"-ca", "/nonexistent"}, "install Debian's ca-certificates"},
		{[]string{"-programs", "absent"}, "build absent"},
	} {
		config, err := parse(append([]string{"-source", small(t), "-out", t.TempDir(), "-platforms", "linux/amd64"}, c.args...), io.Discard)
		if err == nil {
			config.Log = io.Discard
			err = config.run(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}
