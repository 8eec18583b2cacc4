package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody runs the programs, as the Pods' security contexts say too.
const nobody = "65532"

// entry is a file or, where its name ends in a slash, a folder of a layer. All belong to root, who runs nothing.
type entry struct {
	name    string
	mode    int64
	content []byte
}

// archive makes a layer. The order of its entries is the given one.
func archive(when time.Time, entries []entry) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: when, Format: tar.FormatUSTAR}
		if strings.HasSuffix(e.name, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("archive %s: %w", e.name, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// shared is what all images have in common.
type shared struct {
	layer v1.Layer
	roots []byte
}

// base is the layer below the programs: the roots of trust, users by name, /tmp, and the licences whose texts have to go
// with what they are about.
func (c *config) base(s *source) (*shared, error) {
	roots, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("read CA certificates (install Debian's ca-certificates, or name them with -ca): %w", err)
	}
	entries := []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/group", mode: 0o644, content: []byte("root:x:0:\nnonroot:x:" + nobody + ":\n")},
		{name: "etc/passwd", mode: 0o644, content: []byte("root:x:0:0:root:/:/none\nnonroot:x:" + nobody + ":" + nobody + ":nonroot:/:/none\n")},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, content: roots},
		{name: "licenses/", mode: 0o755},
	}
	for _, name := range []string{"LICENSE", "NOTICE", "THIRD_PARTY_NOTICES.md"} {
		text, err := os.ReadFile(filepath.Join(s.folder, name))
		if err != nil {
			return nil, fmt.Errorf("read licences: %w", err)
		}
		entries = append(entries, entry{name: "licenses/" + name, mode: 0o644, content: text})
	}
	entries = append(entries, entry{name: "tmp/", mode: 0o1777})
	layer, err := archive(s.time, entries)
	if err != nil {
		return nil, err
	}
	return &shared{layer: layer, roots: roots}, nil
}
