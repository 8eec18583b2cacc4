package schema

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Issue is one thing that is wrong with an object. It never holds the value that is wrong, unless the field is a choice
// among fixed words, since any other may be a secret.
type Issue struct {
	// Field is the path of the field, such as spec.rules[0].matches[1].path.value.
	Field string
	// Problem says what is wrong.
	Problem string
	// Mend says what to write instead. It is empty where Problem says it already.
	Mend string
	// Spot is the path to find the line by where Field must say less. It may hold a secret: it is never shown.
	Spot string
}

const unknownField = "unknown field"

// hide takes the name of an unknown field out of an issue: in a Secret whose lines are indented wrongly, it may be a
// key. Only metadata has fields of its own below which a name can be unknown.
func (i *Issue) hide() {
	if i.Problem != unknownField {
		return
	}
	i.Problem, i.Spot, i.Field = "holds an unknown field", i.Field, ""
	if strings.HasPrefix(i.Spot, "metadata.") {
		i.Field = "metadata"
	}
}

// String is the issue on one line.
func (i Issue) String() string {
	text := i.Problem
	if i.Field != "" {
		text = i.Field + ": " + text
	}
	if i.Mend != "" {
		text += "; " + i.Mend
	}
	return text
}

// matching is the regular expression that some messages of the Gateway API's rules have besides words.
var matching = regexp.MustCompile(` \(matching \S+\)`)

var wrongType = regexp.MustCompile(`must be of type (\w+): "(\w+)"$`)

// fromSchema turns an error of the OpenAPI or list-type validation into an issue.
func fromSchema(err *field.Error, root *structural.Structural) Issue {
	issue := Issue{Field: err.Field}
	node := lookup(root, err.Field)
	switch err.Type {
	case field.ErrorTypeRequired:
		issue.Problem = "is required"
		issue.Mend = want(node)
	case field.ErrorTypeNotSupported:
		issue.Problem = fmt.Sprintf("%q is not one of the choices", fmt.Sprint(err.BadValue))
		issue.Mend = want(node)
	case field.ErrorTypeDuplicate:
		issue.Problem = "repeats an earlier entry"
		issue.Mend = "remove one of the two, or " + distinct(root, err.Field)
	case field.ErrorTypeTypeInvalid:
		issue.Problem = strings.TrimPrefix(err.Detail, err.Field+" in body ")
		m := wrongType.FindStringSubmatch(err.Detail)
		if m != nil {
			issue.Problem = fmt.Sprintf("must be %s, is %s", m[1], m[2])
		}
		issue.Mend = want(node)
		if node != nil && (node.Type == "array" || node.Type == "object") {
			issue.Mend = "write " + shape(node)
		}
		if m != nil && !isDuration(node) && !chosen(node) { // in quotes it would be none of the choices
			issue.Mend = cmp.Or(quote(m[1], m[2]), issue.Mend)
		}
	case field.ErrorTypeTooLong, field.ErrorTypeTooMany:
		issue.Problem = err.Detail
	default:
		issue.Problem = strings.TrimPrefix(err.Detail, err.Field+" in body ")
		if strings.Contains(issue.Problem, "should match '") {
			issue.Problem = "is not of the right form"
		}
		issue.Mend = cmp.Or(schemeless(node, err.BadValue), want(node))
	}
	return issue
}

// fromRule turns a broken CEL rule into an issue. A rule's message says what to write; where a rule has none, the
// field's own form has to do.
func fromRule(err *field.Error, root *structural.Structural) Issue {
	issue := Issue{Field: err.Field, Problem: err.Detail}
	if issue.Problem == "" {
		issue.Problem = strings.ToLower(string(err.Type))
	}
	issue.Problem = matching.ReplaceAllString(issue.Problem, "")
	issue.Mend = ruleMend(issue.Problem)
	if strings.HasPrefix(issue.Problem, "failed rule") {
		issue.Mend = want(lookup(root, err.Field))
	}
	return issue
}

// fromMetadata turns an error of the metadata validation into an issue.
func fromMetadata(err *field.Error) Issue {
	problem := err.Detail
	if problem == "" {
		problem = strings.ToLower(string(err.Type))
	}
	return Issue{Field: err.Field, Problem: problem}
}

// distinct names the keys that must differ within the list that a field is an element of.
func distinct(root *structural.Structural, path string) string {
	list := lookup(root, strings.TrimSuffix(path, path[max(0, strings.LastIndexByte(path, '[')):]))
	if list == nil || len(list.XListMapKeys) == 0 {
		return "give it another value"
	}
	return "give it another " + strings.Join(list.XListMapKeys, " or ")
}
