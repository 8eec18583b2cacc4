package spec_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	gwapixv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
)

// roots are the types whose fields, and those of all that they hold, have rows.
var roots = []any{
	gwapiv1.HTTPRouteSpec{}, gwapiv1.GRPCRouteSpec{}, gwapiv1.Listener{}, gwapiv1.GatewayTLSConfig{}, gwapiv1.BackendTLSPolicySpec{},
	gwapiv1.ReferenceGrantSpec{}, gwapixv1alpha1.RetryConstraint{},
}

// elsewhere are fields without a row, each with why.
var elsewhere = map[string]string{
	"CommonRouteSpec.useDefaultGateways":              "refused in words: internal/translate, route/not-in-this-version.txtar",
	"HTTPRouteFilter.externalAuth":                    "refused in words: internal/translate, route/not-in-this-version.txtar",
	"HTTPRouteFilter.type":                            "every row of a filter",
	"GRPCRouteFilter.type":                            "every row of a filter",
	"BudgetDetails.interval":                          "time decides: internal/proxy, TestBudget",
	"RequestRate.interval":                            "time decides: internal/proxy, TestBudget",
	"LocalPolicyTargetReference.group":                "internal/translate, policy/backendtls-targets.txtar",
	"LocalPolicyTargetReference.kind":                 "internal/translate, policy/backendtls-targets.txtar",
	"LocalPolicyTargetReference.name":                 "every row of a BackendTLSPolicy",
	"LocalPolicyTargetReferenceWithSectionName.group": "internal/translate, policy/backendtls-targets.txtar",
	"LocalPolicyTargetReferenceWithSectionName.kind":  "internal/translate, policy/backendtls-targets.txtar",
	"LocalPolicyTargetReferenceWithSectionName.name":  "every row of a BackendTLSPolicy",
	"ObjectReference.group":                           "the row of GatewayTLSConfig.frontend",
	"ObjectReference.kind":                            "the row of GatewayTLSConfig.frontend",
	"ObjectReference.name":                            "every row of client certificates",
}

// TestEveryFieldHasARow holds the rows against the types.
func TestEveryFieldHasARow(t *testing.T) {
	const listeners = "GatewaySpec.listeners"         // the rest of a Gateway is golden cases of internal/translate
	fields := map[string]string{listeners: listeners} // names that rows may use, to the field's own
	for _, root := range roots {
		collect(reflect.TypeOf(root), fields)
	}
	shown := map[string]bool{}
	for _, row := range rowNames(t) {
		field, _, _ := strings.Cut(row, ": ")
		if fields[field] == "" {
			t.Errorf("row %q shows no field", row)
		}
		shown[fields[field]] = true
	}
	for _, field := range slices.Sorted(maps.Values(fields)) {
		switch known := elsewhere[field] != ""; {
		case !shown[field] && !known:
			t.Errorf("no row shows %s", field)
			shown[field] = true // said once
		case shown[field] && known:
			t.Errorf("%s has a row: take it off the list of those that have none", field)
		}
	}
	for field := range elsewhere {
		if fields[field] == "" {
			t.Errorf("%s is no field: take it off the list of those that have no row", field)
		}
	}
}

// collect notes the fields of a type of Gateway API, and of all that it holds, as "Type.field". A field of an embedded type
// is also the outer type's.
func collect(kind reflect.Type, fields map[string]string) {
	for kind.Kind() == reflect.Pointer || kind.Kind() == reflect.Slice || kind.Kind() == reflect.Map {
		kind = kind.Elem()
	}
	if kind.Kind() != reflect.Struct || !strings.HasPrefix(kind.PkgPath(), "sigs.k8s.io/gateway-api/") {
		return
	}
	for _, field := range reflect.VisibleFields(kind) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if alias := kind.Name() + "." + name; !field.Anonymous && fields[alias] == "" {
			fields[alias] = declaring(kind, field).Name() + "." + name
			if elsewhere[fields[alias]] == "" {
				collect(field.Type, fields)
			}
		} else if field.Anonymous {
			collect(field.Type, fields)
		}
	}
}

// declaring is the type that a field is written in: the innermost embedded one.
func declaring(kind reflect.Type, field reflect.StructField) reflect.Type {
	for _, i := range field.Index[:len(field.Index)-1] {
		kind = kind.Field(i).Type
	}
	return kind
}

// rowForm is a row's name: a field, and what of it is shown.
var rowForm = regexp.MustCompile(`^[A-Z]\w+\.[a-z]\w+(: |$)`)

// rowNames are the names of all rows: they stand in the source as they are written.
func rowNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(syntax, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING && file != "complete_test.go" {
				if text, err := strconv.Unquote(literal.Value); err == nil && rowForm.MatchString(text) {
					names = append(names, text)
				}
			}
			return true
		})
	}
	return names
}
