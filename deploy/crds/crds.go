// Package crds holds the schemas of every kind that Ebbgate reads and that is served by a CRD: our own, and those of
// the Gateway API version that go.mod names. The JSON files are derived from the CRDs by generate.sh, without status,
// and for the Gateway API kinds without descriptions. The package only hands out what is embedded; internal/schema
// compiles it, and the YAML files beside it are what a cluster installs.
package crds

import (
	"embed"
	"encoding/json"
	"fmt"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

//go:embed index.json ebbgate/*.json gateway-api/*.json
var files embed.FS

// Entry says where the schema of one kind lies and which versions are served.
type Entry struct {
	// Group and Kind name the kind.
	Group string `json:"group"`
	Kind  string `json:"kind"`
	// Namespaced is false for kinds of the whole cluster.
	Namespaced bool `json:"namespaced,omitempty"`
	// Versions are the served versions, the preferred one first.
	Versions []string `json:"versions"`
	// File is the path for Schemas.
	File string `json:"file"`
}

// Schema is the schema that some served versions of a kind have in common.
type Schema struct {
	// Versions are the versions that have it.
	Versions []string `json:"versions"`
	// Schema is the OpenAPI schema, without status.
	Schema apiextensionsv1.JSONSchemaProps `json:"schema"`
}

// Index lists the kinds, ordered by group and kind.
func Index() ([]Entry, error) {
	data, err := files.ReadFile("index.json")
	if err != nil {
		return nil, fmt.Errorf("read schema index: %w", err)
	}
	var entries []Entry
	if err := json.Unmarshal(data, &entries); err != nil {
		return nil, fmt.Errorf("parse schema index: %w", err)
	}
	return entries, nil
}

// Schemas returns the schemas of one entry's file.
func Schemas(file string) ([]Schema, error) {
	data, err := files.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	var schemas []Schema
	if err := json.Unmarshal(data, &schemas); err != nil {
		return nil, fmt.Errorf("parse schema %s: %w", file, err)
	}
	return schemas, nil
}
