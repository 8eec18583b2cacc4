package order

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// fields are the fields of the API's structs by type and JSON name.
type fields map[string]map[string]*ast.Field

func readAPI(t *testing.T) fields {
	t.Helper()
	files, err := filepath.Glob("../../../api/v1alpha1/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("the API is not there: %v", err)
	}
	api := fields{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				return false
			}
			api[spec.Name.Name] = map[string]*ast.Field{}
			for _, field := range structure.Fields.List {
				if name := jsonName(tagOf(field)); name != "" {
					api[spec.Name.Name][name] = field
				}
			}
			return false
		})
	}
	return api
}

func tagOf(field *ast.Field) reflect.StructTag {
	if field.Tag == nil {
		return ""
	}
	return reflect.StructTag(strings.Trim(field.Tag.Value, "`"))
}

func jsonName(tag reflect.StructTag) string {
	name, _, _ := strings.Cut(tag.Get("json"), ",")
	return name
}

// typeName is the API's type of a field, behind pointers; that of a list's elements is another matter.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

var (
	marker  = regexp.MustCompile(`\b(Setting|Restriction)\b[.,]`)
	perKind = regexp.MustCompile(`In a (\w+):\s+(Setting|Restriction)\.`)
)

// marks is what a comment says of its field in a policy of a kind: setting, restriction or nothing.
func marks(t *testing.T, kind, path, comment string) string {
	t.Helper()
	comment = strings.Join(strings.Fields(comment), " ")
	if perKind.MatchString(comment) {
		for _, m := range perKind.FindAllStringSubmatch(comment, -1) {
			if m[1] == kind {
				return strings.ToLower(m[2])
			}
		}
		t.Errorf("%s: %s: the comment speaks of other kinds alone", kind, path)
		return ""
	}
	found := marker.FindAllStringSubmatch(comment, -1)
	switch len(found) {
	case 0:
		return ""
	case 1:
		return strings.ToLower(found[0][1])
	}
	t.Errorf("%s: %s: the comment says it twice", kind, path)
	return ""
}

// walk calls see for every field at and below a type of the API that says what it is.
func (api fields) walk(t *testing.T, kind, name, path string, see func(path, mark string)) {
	t.Helper()
	for json, field := range api[name] {
		full := json
		if path != "" {
			full = path + "." + json
		}
		if mark := marks(t, kind, full, field.Doc.Text()); mark != "" {
			see(full, mark)
		}
		api.walk(t, kind, typeName(field.Type), full, see)
	}
}

// TestAPISaysWhatConfigsSay holds "Setting." and "Restriction." in the API's comments against the tags of the configs:
// each field of a config has the JSON name of a field of the spec (a path with dots where it lies deeper), and every
// comment at, above or below it that says what it is says what the tag says. The standard's own kinds have comments of the
// standard's, which knows no restrictions.
func TestAPISaysWhatConfigsSay(t *testing.T) {
	api := readAPI(t)
	for _, kind := range Kinds() {
		tags := map[string]string{}
		config := reflect.TypeOf(kind.Config()).Elem()
		for i := range config.NumField() {
			tags[jsonName(config.Field(i).Tag)] = config.Field(i).Tag.Get("policy")
		}
		if kind.Group != "" {
			for name, tag := range tags {
				if tag != "setting" {
					t.Errorf("%s: %s is a %s", kind.Name, name, tag)
				}
			}
			continue
		}
		said := map[string]bool{}
		api.walk(t, kind.Name, kind.Name+"Spec", "", func(path, mark string) {
			covered := false
			for name, tag := range tags {
				if name != path && !strings.HasPrefix(name, path+".") && !strings.HasPrefix(path, name+".") {
					continue
				}
				covered, said[name] = true, true
				if tag != mark {
					t.Errorf("%s: %s is documented as %s, and %s is a %s", kind.Name, path, mark, name, tag)
				}
			}
			if !covered {
				t.Errorf("%s: %s is documented as %s and in no config", kind.Name, path, mark)
			}
		})
		for name := range tags {
			if !said[name] {
				t.Errorf("%s: the API does not say whether %s is a setting or a restriction", kind.Name, name)
			}
		}
	}
}
