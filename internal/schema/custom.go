package schema

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/ebbgate/ebbgate/deploy/crds"
)

// customKind checks the objects of one kind that is served by a CRD.
type customKind struct {
	file string
	once sync.Once
	err  error
	// versions share a compiled schema where theirs are alike.
	versions map[string]*compiled
}

// compiled is one schema, ready to use; its CEL rules still compile one by one.
type compiled struct {
	schema  *structural.Structural
	openapi validation.SchemaValidator
	rules   *rules
}

func (k *customKind) load() {
	schemas, err := crds.Schemas(k.file)
	if err != nil {
		k.err = err
		return
	}
	k.versions = make(map[string]*compiled)
	for i := range schemas {
		c, err := compile(&schemas[i].Schema)
		if err != nil {
			k.err = fmt.Errorf("compile schema %s: %w", k.file, err)
			return
		}
		for _, version := range schemas[i].Versions {
			k.versions[version] = c
		}
	}
}

func compile(props *apiextensionsv1.JSONSchemaProps) (*compiled, error) {
	var internal apiextensions.JSONSchemaProps
	if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(props, &internal, nil); err != nil {
		return nil, err
	}
	s, err := structural.NewStructural(&internal)
	if err != nil {
		return nil, err
	}
	openapi, _, err := validation.NewSchemaValidator(&internal)
	if err != nil {
		return nil, err
	}
	return &compiled{schema: s, openapi: openapi, rules: newRules(s)}, nil
}

// check follows the order of an API server: prune, default, schema, list types, CEL.
func (k *customKind) check(ctx context.Context, obj *unstructured.Unstructured) []Issue {
	k.once.Do(k.load)
	if k.err != nil {
		return []Issue{{Problem: "the embedded schema is broken: " + k.err.Error()}}
	}
	c := k.versions[obj.GroupVersionKind().Version]
	// An API server drops status from what a user writes, since status is a subresource of every kind here.
	delete(obj.Object, "status")

	paths := c.prune(obj)
	issues := c.unknown(obj.GetKind(), paths)
	slips := slips(paths, c.schema)
	defaulting.PruneNonNullableNullsWithoutDefaults(obj.Object, c.schema)
	defaulting.Default(obj.Object, c.schema)

	errs := validation.ValidateCustomResource(nil, obj.Object, c.openapi)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, c.schema, obj.Object)...)
	for _, err := range errs {
		if !slices.ContainsFunc(slips, func(m misspelt) bool { return m.misses(err) }) {
			issue := fromSchema(err, c.schema)
			issue.Mend = cmp.Or(placed(err, obj.Object), issue.Mend)
			issues = append(issues, issue)
		}
	}
	if slices.ContainsFunc(errs, blocksRules) {
		return issues
	}
	for _, err := range c.rules.check(ctx, obj.Object) {
		if !echoes(err, errs) && !slices.ContainsFunc(slips, func(m misspelt) bool { return m.follows(err) }) {
			issues = append(issues, fromRule(err, c.schema))
		}
	}
	return issues
}

// prune removes the fields that the schema does not have, and returns their paths.
func (c *compiled) prune(obj *unstructured.Unstructured) []string {
	return pruning.PruneWithOptions(obj.Object, c.schema, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}

// unknown says what is wrong with fields that the schema does not have.
func (c *compiled) unknown(kind string, paths []string) []Issue {
	var issues []Issue
	for _, path := range paths {
		above, name := parent(path)
		issues = append(issues, Issue{
			Field:   path,
			Problem: unknownField,
			Mend:    cmp.Or(elsewhere(kind, path), choose(name, fieldNames(lookup(c.schema, above)), "fields here")),
		})
	}
	return issues
}

// blocksRules says whether an error makes it pointless or costly to evaluate CEL rules, as API servers judge it.
func blocksRules(err *field.Error) bool {
	switch err.Type {
	case field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
		return true
	}
	return false
}
