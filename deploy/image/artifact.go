package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nothing is the config of what is no image. Its type is the artifact's: that is where registries from before OCI 1.1 look.
const nothing = "{}"

// artifact is a file in the form of an image, of the file's own type and about a subject.
type artifact struct {
	file     v1.Layer
	manifest []byte
}

func newArtifact(file v1.Layer, subject *v1.Descriptor) (v1.Image, error) {
	described, err := partial.Descriptor(file)
	if err != nil {
		return nil, fmt.Errorf("describe artifact: %w", err)
	}
	config, size, err := v1.SHA256(bytes.NewReader([]byte(nothing)))
	if err != nil {
		return nil, fmt.Errorf("describe artifact: %w", err)
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: string(described.MediaType),
		Config: v1.Descriptor{MediaType: described.MediaType, Size: size, Digest: config}, Layers: []v1.Descriptor{*described}, Subject: subject,
	})
	if err != nil {
		return nil, fmt.Errorf("describe artifact: %w", err)
	}
	return partial.CompressedToImage(&artifact{file, manifest})
}

func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a *artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a *artifact) RawConfigFile() ([]byte, error)      { return []byte(nothing), nil }

func (a *artifact) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	if digest, err := a.file.Digest(); err != nil || digest != h {
		return nil, errors.Join(err, fmt.Errorf("no layer %s", h))
	}
	return a.file, nil
}
