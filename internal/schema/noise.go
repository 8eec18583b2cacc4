package schema

import (
	"regexp"
	"slices"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// misspelt is a field whose name was meant for another's.
type misspelt struct{ above, meant string }

// slips are the unknown fields among paths whose names are almost those of fields that the schema has beside them.
func slips(paths []string, root *structural.Structural) []misspelt {
	var list []misspelt
	for _, path := range paths {
		above, name := parent(path)
		if meant := nearest(name, fieldNames(lookup(root, above))); meant != "" {
			list = append(list, misspelt{above, meant})
		}
	}
	return list
}

// misses tells whether an error says no more than that a misspelt field is not there.
func (m misspelt) misses(err *field.Error) bool {
	return err.Type == field.ErrorTypeRequired && strings.TrimPrefix(m.above+"."+m.meant, ".") == err.Field
}

// follows tells whether a broken rule of an object is about the misspelt field: what it says may no longer hold once the
// name is right.
func (m misspelt) follows(err *field.Error) bool {
	return err.Field == m.above && says(err.Detail, m.meant)
}

// echoes tells whether a broken rule only follows from a choice that does not exist: that of a union's type breaks the
// rules of each of its members.
func echoes(rule *field.Error, errs field.ErrorList) bool {
	return slices.ContainsFunc(errs, func(err *field.Error) bool {
		above, name := parent(err.Field)
		return err.Type == field.ErrorTypeNotSupported && above == rule.Field && says(rule.Detail, name)
	})
}

// says tells whether a text has a word.
func says(text, word string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).MatchString(text)
}
