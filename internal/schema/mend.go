package schema

import (
	"fmt"
	"slices"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// patterns says in words what the patterns of the Gateway API, whose schemas we carry without descriptions, and the
// most common ones of ours ask for.
var patterns = map[string]string{
	`^([0-9]{1,5}(h|m|s|ms)){1,4}$`:                                                      "a duration such as 500ms, 5s or 1m30s",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`:                                                    "lower-case letters, digits and hyphens, such as my-name",
	`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`:                                                  "a header name such as X-Model",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:                  "a host name in lower case such as api.example.com",
	`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:           "a host name in lower case such as api.example.com or *.example.com",
	`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`: "a host name in lower case such as api.example.com or *.example.com",
	`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:               `an API group such as gateway.networking.k8s.io, or "" for the core group`,
	`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`:                                              "a kind such as Service",
	`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`:                                               `a name such as team-a, or "*"`,
	`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$`:             `a name such as batch, or "*"`,
	`^(\*|spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)+)$`:                                    `a SPIFFE id such as spiffe://cluster.local/ns/ai/sa/batch, or "*"`,
	`^(/\*?([^/*?#\s]+\*?)*)*(/\*\*)?$`:                                                  "a path such as /v1/models, /v1/*/events or /v1/chat/**",
}

// want says what a value of a schema node looks like: its choices, its form, or our description of the field.
func want(node *structural.Structural) string {
	if node == nil {
		return ""
	}
	rules := node.ValueValidation
	if rules != nil {
		if len(rules.Enum) > 0 {
			return "write " + choices(rules.Enum)
		}
		if form, ok := patterns[rules.Pattern]; ok {
			return "write " + form
		}
	}
	if node.Description != "" {
		return sentences(node.Description)
	}
	if rules != nil && rules.Pattern != "" {
		return "write a value that matches " + rules.Pattern
	}
	return "write " + shape(node)
}

func choices(enum []structural.JSON) string {
	words := make([]string, len(enum))
	for i, value := range enum {
		words[i] = fmt.Sprint(value.Object)
	}
	if len(words) == 1 {
		return words[0]
	}
	return "one of " + strings.Join(words, ", ")
}

// shape names the type of a node's values, with the fields of an object that must be there.
func shape(node *structural.Structural) string {
	switch {
	case node.XIntOrString:
		return "a number or a string"
	case node.Type == "integer" && node.ValueValidation != nil && node.ValueValidation.Minimum != nil && node.ValueValidation.Maximum != nil:
		return fmt.Sprintf("a whole number from %g to %g", *node.ValueValidation.Minimum, *node.ValueValidation.Maximum)
	case node.Type == "integer":
		return "a whole number"
	case node.Type == "boolean":
		return "true or false"
	case node.Type == "array":
		return "a list"
	case node.Type == "object" && node.ValueValidation != nil && len(node.ValueValidation.Required) > 0:
		return "an object with " + strings.Join(node.ValueValidation.Required, ", ")
	case node.Type == "object":
		return "an object"
	}
	return "a " + node.Type
}

// sentences returns the first sentences of a description, about 200 bytes of them.
func sentences(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	end := 0
	for end < len(text) {
		next := strings.Index(text[end:], ". ")
		if next < 0 {
			next = len(text) - end - 1
		}
		if end > 0 && end+next > 200 {
			break
		}
		end += next + 1
		if end < len(text) && text[end] == ' ' {
			end++
		}
	}
	return strings.TrimSpace(text[:end])
}

// choose proposes the name nearest to what was written, or lists the names there are.
func choose(written string, names []string, label string) string {
	names = slices.Sorted(slices.Values(names))
	best, bestDistance := "", max(1, len(written)/3)+1
	for _, name := range names {
		if d := distance(strings.ToLower(written), strings.ToLower(name)); d < bestDistance {
			best, bestDistance = name, d
		}
	}
	const most = 20
	switch {
	case best != "":
		return fmt.Sprintf("did you mean %s?", best)
	case len(names) == 0:
		return "remove it"
	case len(names) > most:
		return label + ": " + strings.Join(names[:most], ", ") + ", …"
	}
	return label + ": " + strings.Join(names, ", ")
}

// distance is the number of bytes to insert, delete, replace or swap with their neighbour to get from a to b
// (optimal string alignment). Long names are not compared: nobody mistypes 64 bytes into another field's name.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
