package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// built is one program's image for all platforms.
type built struct {
	name     string // prefix/program:tag
	index    v1.ImageIndex
	images   []platformed
	contents v1.Image // the SBOM, as an artifact whose subject is the index
}

type platformed struct {
	v1.Image
	platform v1.Platform
}

// titles are the programs in a few words.
var titles = map[string]string{
	"ebbgate":       "Ebbgate: an egress gateway for Kubernetes, its controller and command",
	"ebbgate-proxy": "Ebbgate's proxy, which a Gateway's requests go through",
}

func (c *config) build(ctx context.Context, s *source, below *shared, program string) (*built, error) {
	folder, err := os.MkdirTemp("", "ebbgate-image-")
	if err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	labels := map[string]string{
		"org.opencontainers.image.title":       program,
		"org.opencontainers.image.description": titles[program],
		"org.opencontainers.image.version":     s.version,
		"org.opencontainers.image.revision":    s.revision,
		"org.opencontainers.image.created":     s.time.Format("2006-01-02T15:04:05Z"),
		"org.opencontainers.image.source":      "https://github.com/ebbgate/ebbgate",
		"org.opencontainers.image.url":         "https://ebbgate.dev",
		"org.opencontainers.image.vendor":      "Ebbgate",
		"org.opencontainers.image.licenses":    "Apache-2.0",
	}
	b := &built{name: c.Prefix + "/" + program + ":" + s.version}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	sbom := newDocument(ctx, s, program, below.roots)
	for _, platform := range c.Platforms {
		file := filepath.Join(folder, program+"-"+platform.Architecture)
		if err := s.compile(ctx, program, platform, file); err != nil {
			return nil, err
		}
		binary, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read binary: %w", err)
		}
		if err := sbom.add(platform, binary); err != nil {
			return nil, err
		}
		image, err := assemble(s, below, program, platform, binary, labels)
		if err != nil {
			return nil, err
		}
		b.images = append(b.images, platformed{image, platform})
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	b.index = mutate.Annotations(index, labels).(v1.ImageIndex)
	b.contents, err = sbom.attached(b.index)
	return b, err
}

// assemble is the image of one platform: the shared layer, and the program's.
func assemble(s *source, below *shared, program string, platform v1.Platform, binary []byte, labels map[string]string) (v1.Image, error) {
	layer, err := archive(s.time, []entry{{name: program, mode: 0o755, content: binary}})
	if err != nil {
		return nil, err
	}
	when := v1.Time{Time: s.time}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.Append(base,
		mutate.Addendum{Layer: below.layer, MediaType: types.OCILayer, History: v1.History{Created: when, CreatedBy: "deploy/image", Comment: "CA certificates, users, /tmp, licences"}},
		mutate.Addendum{Layer: layer, MediaType: types.OCILayer, History: v1.History{Created: when, CreatedBy: "deploy/image", Comment: "/" + program}},
	)
	if err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS, config.Created = platform.Architecture, platform.OS, when
	config.Config = v1.Config{
		User: nobody + ":" + nobody, WorkingDir: "/", Entrypoint: []string{"/" + program}, Labels: labels,
		// so that a Deployment may say `command: [ebbgate-proxy]`; the standard library looks for the roots where Debian has them
		Env: []string{"PATH=/"},
	}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return nil, fmt.Errorf("assemble: %w", err)
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}
