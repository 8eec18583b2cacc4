package schema

import (
	"context"
	"sync"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// rules holds the CEL rules of one schema node and of those below it. The rules of a node are compiled when a value for
// that node is first seen: most of an HTTPRoute's many rules are about filters that a usual one does not have.
type rules struct {
	schema     *structural.Structural
	root       bool
	once       sync.Once
	own        *cel.Validator
	properties map[string]*rules
	items      *rules
	additional *rules
}

// newRules returns the rules of a kind's whole schema.
func newRules(s *structural.Structural) *rules {
	bare := s.DeepCopy()
	withoutRules(bare)
	r := collect(s, bare)
	if r != nil {
		r.root = true
	}
	return r
}

// withoutRules removes the rules of a schema, so that a node can be compiled without what is below it.
func withoutRules(s *structural.Structural) {
	s.XValidations = nil
	if s.ValueValidation != nil {
		s.ValueValidation.AllOf = nil
	}
	for name, property := range s.Properties {
		withoutRules(&property)
		s.Properties[name] = property
	}
	if s.Items != nil {
		withoutRules(s.Items)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		withoutRules(s.AdditionalProperties.Structural)
	}
}

// collect returns the rules at and below a node, or nil where there are none.
func collect(s, bare *structural.Structural) *rules {
	node := *bare
	node.XValidations = s.XValidations
	node.ValueValidation = s.ValueValidation
	r := &rules{schema: &node, properties: make(map[string]*rules)}
	for name := range s.Properties {
		property, bareProperty := s.Properties[name], bare.Properties[name]
		if below := collect(&property, &bareProperty); below != nil {
			r.properties[name] = below
		}
	}
	if s.Items != nil {
		r.items = collect(s.Items, bare.Items)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		r.additional = collect(s.AdditionalProperties.Structural, bare.AdditionalProperties.Structural)
	}
	if !hasOwn(s) && len(r.properties) == 0 && r.items == nil && r.additional == nil {
		return nil
	}
	return r
}

// hasOwn says whether compiling a node by itself could give anything to evaluate.
func hasOwn(s *structural.Structural) bool {
	return len(s.XValidations) > 0 || s.ValueValidation != nil && len(s.ValueValidation.AllOf) > 0
}

// check evaluates every rule that has a value in an object, within an API server's budget for one object.
func (r *rules) check(ctx context.Context, obj map[string]any) field.ErrorList {
	errs, _ := r.walk(ctx, nil, obj, celconfig.RuntimeCELCostBudget)
	return errs
}

func (r *rules) walk(ctx context.Context, path *field.Path, value any, budget int64) (field.ErrorList, int64) {
	if r == nil || value == nil || budget < 0 {
		return nil, budget
	}
	var errs field.ErrorList
	if hasOwn(r.schema) {
		r.once.Do(func() { r.own = cel.NewValidator(r.schema, r.root, celconfig.PerCallLimit) })
		errs, budget = r.own.Validate(ctx, path, r.schema, value, nil, budget)
	}
	below := func(r *rules, path *field.Path, value any) {
		var more field.ErrorList
		more, budget = r.walk(ctx, path, value, budget)
		errs = append(errs, more...)
	}
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if property, ok := r.properties[name]; ok {
				below(property, path.Child(name), member)
			} else if r.additional != nil {
				below(r.additional, path.Key(name), member)
			}
		}
	case []any:
		for i, element := range value {
			below(r.items, path.Index(i), element)
		}
	}
	return errs, budget
}
