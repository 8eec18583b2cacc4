package route

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// cors is a CORS filter (GEP-1767).
func (b *builder) cors(field string, spec *gwapiv1.HTTPCORSFilter) *plan.CORS {
	c := &plan.CORS{Credentials: spec.AllowCredentials != nil && *spec.AllowCredentials, MaxAge: int(max(spec.MaxAge, 0))}
	for i, o := range spec.AllowOrigins {
		text, ok := origin(string(o))
		if !ok {
			b.refuse(fmt.Sprintf("%s.allowOrigins[%d]", field, i), "not an origin", `write one such as https://app.example.com, https://*.example.com or "*"`)
			continue
		}
		if !slices.Contains(c.Origins, text) {
			c.Origins = append(c.Origins, text)
		}
	}
	if i := slices.IndexFunc(spec.AllowOrigins, anyOrigin); i >= 0 && c.Credentials {
		b.problems.Warn("", "AnyOrigin", fmt.Sprintf("%s.allowOrigins[%d]", field, i),
			"with allowCredentials every web page may use the destination with the client's standing", "name the origins that may, or leave out allowCredentials")
	}
	c.Methods = tokens(b, field+".allowMethods", spec.AllowMethods)
	c.Headers = tokens(b, field+".allowHeaders", spec.AllowHeaders)
	c.Expose = tokens(b, field+".exposeHeaders", spec.ExposeHeaders)
	return c
}

// anyOrigin reports whether an origin stands for those of all hosts.
func anyOrigin(origin gwapiv1.CORSOrigin) bool {
	host := strings.TrimPrefix(strings.TrimPrefix(strings.ToLower(string(origin)), "https://"), "http://")
	return host == "*" || strings.HasPrefix(host, "*:")
}

// tokens are methods or field names, written into an answer as they are: so nothing but tokens goes (RFC 9110, section
// 5.6.2), of which "*" is one.
func tokens[T ~string](b *builder, field string, values []T) []string {
	var list []string
	for i, value := range values {
		if value == "" || strings.ContainsFunc(string(value), func(c rune) bool { return !tokenCharacter(c) }) {
			b.refuse(fmt.Sprintf("%s[%d]", field, i), "not a token (RFC 9110, section 5.6.2)", `write a name of letters, digits and dashes, or "*"`)
			continue
		}
		list = append(list, string(value))
	}
	return list
}

// origin is an origin in the form that browsers send theirs in: lower case, without the port that its scheme implies
// (HTML, section 7.1.1). A host may be "*", or begin with "*.".
func origin(text string) (string, bool) {
	if text == "*" {
		return text, true
	}
	scheme, rest, ok := strings.Cut(strings.ToLower(text), "://")
	if !ok || scheme != "http" && scheme != "https" {
		return "", false
	}
	host, port, hasPort := strings.Cut(rest, ":")
	name := strings.TrimPrefix(host, "*.")
	if host != "*" && (name == "" || strings.ContainsFunc(name, func(c rune) bool { return !hostCharacter(c) })) {
		return "", false
	}
	if number, err := strconv.ParseUint(port, 10, 16); hasPort && (err != nil || number == 0) {
		return "", false
	} else if hasPort && (scheme != "http" || number != 80) && (scheme != "https" || number != 443) {
		host += ":" + strconv.FormatUint(number, 10)
	}
	return scheme + "://" + host, true
}

func hostCharacter(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '.'
}
