// Command compact derives the embedded schema files from CRDs: JSON, no status, no conversion or printing details, and
// for foreign kinds no descriptions. generate.sh runs it; nothing else does.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/deploy/crds"
)

const usage = "usage: compact OUT OUR_CRDS GATEWAY_API_CRDS"

// foreign are the Gateway API kinds that Ebbgate reads.
var foreign = []string{
	"BackendTLSPolicy", "GatewayClass", "Gateway", "GRPCRoute", "HTTPRoute", "ListenerSet", "ReferenceGrant",
	"TCPRoute", "TLSRoute", "UDPRoute", "XBackend", "XBackendTrafficPolicy",
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compact:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("%s", usage)
	}
	ours, err := derive(args[0], args[1], "ebbgate", nil)
	if err != nil {
		return err
	}
	theirs, err := derive(args[0], args[2], "gateway-api", foreign)
	if err != nil {
		return err
	}
	if len(theirs) != len(foreign) {
		return fmt.Errorf("%s has %d of the %d Gateway API kinds", args[2], len(theirs), len(foreign))
	}
	entries := append(ours, theirs...)
	slices.SortFunc(entries, func(a, b crds.Entry) int {
		return strings.Compare(a.Group+"/"+a.Kind, b.Group+"/"+b.Kind)
	})
	return write(filepath.Join(args[0], "index.json"), entries)
}

// derive writes a schema file for every CRD in a folder, or for those of the kinds named.
func derive(out, in, folder string, kinds []string) ([]crds.Entry, error) {
	paths, err := filepath.Glob(filepath.Join(in, "*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list CRDs: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(out, folder), 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	var entries []crds.Entry
	for _, path := range paths {
		crd, err := read(path)
		if err != nil {
			return nil, err
		}
		if crd.Kind != "CustomResourceDefinition" || kinds != nil && !slices.Contains(kinds, crd.Spec.Names.Kind) {
			continue
		}
		entry, schemas := compact(crd, kinds == nil)
		entry.File = folder + "/" + strings.ToLower(crd.Spec.Names.Kind) + ".json"
		if err := write(filepath.Join(out, entry.File), schemas); err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func read(path string) (*apiextensionsv1.CustomResourceDefinition, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read CRD: %w", err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(data, &crd); err != nil {
		return nil, fmt.Errorf("parse %s: %w", path, err)
	}
	return &crd, nil
}

func compact(crd *apiextensionsv1.CustomResourceDefinition, described bool) (crds.Entry, []crds.Schema) {
	entry := crds.Entry{
		Group:      crd.Spec.Group,
		Kind:       crd.Spec.Names.Kind,
		Namespaced: crd.Spec.Scope == apiextensionsv1.NamespaceScoped,
	}
	var schemas []crds.Schema
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		entry.Versions = append(entry.Versions, version.Name)
		schema := version.Schema.OpenAPIV3Schema.DeepCopy()
		delete(schema.Properties, "status")
		if !described {
			strip(schema)
		}
		same := slices.IndexFunc(schemas, func(s crds.Schema) bool { return reflect.DeepEqual(s.Schema, *schema) })
		if same >= 0 {
			schemas[same].Versions = append(schemas[same].Versions, version.Name)
			continue
		}
		schemas = append(schemas, crds.Schema{Versions: []string{version.Name}, Schema: *schema})
	}
	return entry, schemas
}

// strip removes the descriptions. Only the keywords that a structural schema may nest under are walked.
func strip(s *apiextensionsv1.JSONSchemaProps) {
	s.Description = ""
	for name, property := range s.Properties {
		strip(&property)
		s.Properties[name] = property
	}
	if s.Items != nil && s.Items.Schema != nil {
		strip(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		strip(s.AdditionalProperties.Schema)
	}
	for _, list := range [][]apiextensionsv1.JSONSchemaProps{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range list {
			strip(&list[i])
		}
	}
	if s.Not != nil {
		strip(s.Not)
	}
}

func write(path string, value any) error {
	var data bytes.Buffer
	encoder := json.NewEncoder(&data)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := os.WriteFile(path, data.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}
