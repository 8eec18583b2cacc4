package schema

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const durationPattern = `^([0-9]{1,5}(h|m|s|ms)){1,4}$`

// isDuration tells a field whose value needs a unit: a number there would be no better for quotes.
func isDuration(node *structural.Structural) bool {
	return node != nil && node.ValueValidation != nil && node.ValueValidation.Pattern == durationPattern
}

// patterns says in words what the patterns of the Gateway API, whose schemas we carry without descriptions, and the
// most common ones of ours ask for.
var patterns = map[string]string{
	durationPattern:                     "a duration such as 500ms, 5s or 1m30s",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`:   "lower-case letters, digits and hyphens, such as my-name",
	`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`: "a header name such as X-Model",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:                                                                   "a host name in lower case such as api.example.com",
	`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:                                                            "a host name in lower case such as api.example.com or *.example.com",
	`^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`:                                                  "a host name in lower case such as api.example.com or *.example.com",
	`^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`:                                                                `an API group such as gateway.networking.k8s.io, or "" for the core group`,
	`^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$`:                                                                                               "a kind such as Service",
	`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`:                                                                                                `a name such as team-a, or "*"`,
	`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)$`:                                                              `a name such as batch, or "*"`,
	`^(\*|spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)+)$`:                                                                                     `a SPIFFE id such as spiffe://cluster.local/ns/ai/sa/batch, or "*"`,
	`^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+$`:             "a protocol such as HTTP, HTTPS, TLS or TCP",
	`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$`:                                 "a domain and a path such as ebbgate.dev/egress-gateway",
	`^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+$`: "IPAddress, Hostname or NamedAddress",
	`^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$`:          "System",
	`(^\*$)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)$)`:                                            `an origin such as https://app.example.com, or "*"`,
	`^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?`:                                                                             "a URI such as spiffe://cluster.local/ns/ai/sa/batch",
	`^[!-~]+([\t ]?[!-~]+)*$`:                                "visible ASCII characters with single spaces between them",
	`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`: "a path such as /v1/models",
	`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`:          "letters, digits, - _ and .",
	`^[A-Za-z0-9][A-Za-z0-9._-]*$`:                           "letters, digits, dots, dashes and underscores, a letter or a digit first, such as edge-1",
	`^spiffe://[a-z0-9._-]+(/[a-zA-Z0-9._-]+)+$`:             "a SPIFFE id with a path, such as spiffe://cluster.local/ns/ai/sa/batch",
	`^[a-z0-9._-]+$`:                                         "a trust domain in lower case, such as cluster.local",
	`^/[!-"$-~]*$`:                                           "a path such as /healthz",
	`^(/\*?([^/*?#\s]+\*?)*)*(/\*\*)?$`:                      "a path such as /v1/models, /v1/*/events or /v1/chat/**",
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
	if text := sentences(node.Description); text != "" {
		return text
	}
	if rules != nil && rules.Pattern != "" {
		if len(rules.Pattern) > longest {
			return "see docs/api.md for the form"
		}
		return "write a value that matches " + rules.Pattern
	}
	return "write " + shape(node)
}

// chosen reports whether a value is one of some.
func chosen(node *structural.Structural) bool {
	return node != nil && node.ValueValidation != nil && len(node.ValueValidation.Enum) > 0
}

// unbuilt are choices of the standard that this version refuses: no mend proposes them.
var unbuilt = []string{string(gwapiv1.HTTPRouteFilterExtensionRef), string(gwapiv1.HTTPRouteFilterExternalAuth)}

func choices(enum []structural.JSON) string {
	var words []string
	for _, value := range enum {
		if word := fmt.Sprint(value.Object); !slices.Contains(unbuilt, word) {
			words = append(words, word)
		}
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
		return fmt.Sprintf("a whole number from %.f to %.f", *node.ValueValidation.Minimum, *node.ValueValidation.Maximum)
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
	text = told(strings.Join(strings.Fields(text), " "))
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

// told is a description without what becomes of wrong values, which is what the reader has just seen.
func told(text string) string {
	var kept []string
	for sentence := range strings.SplitSeq(strings.TrimSuffix(text, "."), ". ") {
		var parts []string
		for part := range strings.SplitSeq(sentence, "; ") {
			if part != "" && part != "Required" && !strings.Contains(part, "at admission") {
				parts = append(parts, part)
			}
		}
		if len(parts) > 0 {
			kept = append(kept, strings.Join(parts, "; "))
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return strings.Join(kept, ". ") + "."
}

const longest = 60 // bytes of a pattern that a reader can be asked to make sense of

// ruleMends are the mends for CEL rules whose messages do not say what to write, most of them the Gateway API's.
var ruleMends = map[string]string{
	"Must have port for Service reference":                                                       "for a Backend write group: ebbgate.dev and kind: Backend; a Service needs port",
	"value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']": `begin it with /, or write type: RegularExpression`,
	"must only contain valid characters for types ['Exact', 'PathPrefix']":                       "write a path such as /v1/models, other characters as %XX",
	"Hostname value must be empty or contain only valid characters":                              "write a host name in lower case such as api.example.com",
	"type must be one of ['Exact', 'PathPrefix', 'RegularExpression']":                           "write one of Exact, PathPrefix, RegularExpression",
}

// targets finds the kinds in our rules' messages on targetRefs, "A and B (group)" each.
var targets = regexp.MustCompile(`(\w+)(?: and (\w+))? \(([^)]+)\)`)

// ruleMend says what to write where a rule's message does not.
func ruleMend(message string) string {
	if !strings.HasPrefix(message, "targetRefs may name ") {
		return ruleMends[message]
	}
	var pairs []string
	for _, m := range targets.FindAllStringSubmatch(message, -1) {
		group := m[3]
		if group == "core group" {
			group = `""`
		}
		for _, kind := range m[1:3] {
			if kind != "" {
				pairs = append(pairs, "group: "+group+" and kind: "+kind)
			}
		}
	}
	return "write " + strings.Join(pairs, ", or ")
}

// quote is the mend for a value that YAML takes for something else than text.
func quote(wanted, is string) string {
	if wanted == "string" && (is == "number" || is == "integer" || is == "boolean") {
		return "put it in quotes"
	}
	return ""
}

// schemeless is the mend for a host name that is written as a URL; empty where the value is none.
func schemeless(node *structural.Structural, value any) string {
	text, _ := value.(string)
	if node == nil || node.ValueValidation == nil || !strings.Contains(patterns[node.ValueValidation.Pattern], "host name") {
		return ""
	}
	for _, scheme := range []string{"https://", "http://"} {
		if strings.HasPrefix(strings.ToLower(text), scheme) {
			return "leave " + scheme + " off, and what follows the host name"
		}
	}
	return ""
}
