package main

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// named are the annotations by which tools know an image of a layout: containerd by its name, others by its tag.
func (b *built) named() map[string]string {
	return map[string]string{
		"io.containerd.image.name":          b.name,
		"org.opencontainers.image.ref.name": b.name[strings.LastIndexByte(b.name, ':')+1:],
	}
}

// write makes the layout of all platforms in a folder, and beside it a tar for each platform.
func (b *built) write(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	whole, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := whole.AppendIndex(b.index, layout.WithAnnotations(b.named())); err != nil {
		return err
	}
	if err := whole.AppendImage(b.contents); err != nil {
		return err
	}
	for _, image := range b.images {
		if err := b.tar(image, fmt.Sprintf("%s-%s-%s.tar", folder, image.platform.OS, image.platform.Architecture)); err != nil {
			return err
		}
	}
	return nil
}

// tar writes the image of one platform as an OCI layout that is also what `docker save` writes (manifest.json), for
// versions of Docker that know no layouts.
func (b *built) tar(image platformed, file string) (err error) {
	folder, err := os.MkdirTemp(filepath.Dir(file), "layout-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	single, err := layout.Write(folder, mutate.AppendManifests(empty.Index))
	if err != nil {
		return err
	}
	if err := single.AppendImage(image, layout.WithAnnotations(b.named()), layout.WithPlatform(image.platform)); err != nil {
		return err
	}
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	saved := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{Config: blob(manifest.Config.Digest), RepoTags: []string{b.name}}
	for _, l := range manifest.Layers {
		saved.Layers = append(saved.Layers, blob(l.Digest))
	}
	text, err := json.Marshal([]any{saved})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "manifest.json"), text, 0o644); err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() {
		if closed := out.Close(); err == nil {
			err = closed
		}
	}()
	return pack(out, folder)
}

func blob(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }

// pack archives a folder's files, in the order of their names and without anything of this machine.
func pack(to io.Writer, folder string) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		relative, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(relative), Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// push sends the image and its SBOM to a registry, with the credentials that `docker login` has kept.
func (b *built) push(ctx context.Context, to string) error {
	reference, err := name.NewTag(to)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	if err := remote.WriteIndex(reference, b.index, options...); err != nil {
		return err
	}
	digest, err := b.contents.Digest()
	if err != nil {
		return err
	}
	return remote.Write(reference.Context().Digest(digest.String()), b.contents, options...)
}
