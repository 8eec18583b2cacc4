package route

import (
	"fmt"
	"strings"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// filters are those of a rule.
func (b *builder) filters(ruleField string, rule *gwapiv1.HTTPRouteRule) []plan.Filter {
	var list []plan.Filter
	seen := map[gwapiv1.HTTPRouteFilterType]bool{}
	for i, spec := range rule.Filters {
		field := fmt.Sprintf("%s.filters[%d]", ruleField, i)
		if seen[spec.Type] && spec.Type != gwapiv1.HTTPRouteFilterRequestMirror && spec.Type != gwapiv1.HTTPRouteFilterExtensionRef {
			b.refuse(field, fmt.Sprintf("a second %s", spec.Type), "merge the two into one")
			continue
		}
		seen[spec.Type] = true
		switch {
		case spec.Type == gwapiv1.HTTPRouteFilterRequestRedirect && spec.RequestRedirect != nil:
			list = append(list, plan.Filter{Redirect: b.redirect(field+".requestRedirect", rule, spec.RequestRedirect)})
		case spec.Type == gwapiv1.HTTPRouteFilterURLRewrite && spec.URLRewrite != nil:
			list = append(list, plan.Filter{Rewrite: &plan.Rewrite{
				Hostname: strings.ToLower(attach.Or(spec.URLRewrite.Hostname, "")), Path: b.pathModifier(field+".urlRewrite.path", rule, spec.URLRewrite.Path),
			}})
		case spec.Type == gwapiv1.HTTPRouteFilterRequestMirror && spec.RequestMirror != nil:
			list = append(list, plan.Filter{Mirror: b.mirror(field+".requestMirror", ruleField, rule, spec.RequestMirror)})
		case spec.Type == gwapiv1.HTTPRouteFilterCORS && spec.CORS != nil:
			list = append(list, plan.Filter{CORS: b.cors(field+".cors", spec.CORS)})
		default:
			list = b.modifier(list, field, spec, "leave it out")
		}
	}
	if seen[gwapiv1.HTTPRouteFilterRequestRedirect] && seen[gwapiv1.HTTPRouteFilterURLRewrite] {
		b.problems.Add(attach.Accepted, string(gwapiv1.RouteReasonIncompatibleFilters), ruleField+".filters",
			"a rule cannot both redirect and rewrite", "leave out RequestRedirect or URLRewrite")
	}
	return list
}

// backendFilters are those of a backendRef: header modifiers alone.
func (b *builder) backendFilters(field string, specs []gwapiv1.HTTPRouteFilter) []plan.Filter {
	var list []plan.Filter
	for i, spec := range specs {
		mend := "write it among the filters of a rule that has this backend alone"
		switch spec.Type {
		case gwapiv1.HTTPRouteFilterExtensionRef, gwapiv1.HTTPRouteFilterExternalAuth, gwapiv1.HTTPRouteFilterRequestRedirect:
			mend = "leave it out"
		}
		list = b.modifier(list, fmt.Sprintf("%s.filters[%d]", field, i), spec, mend)
	}
	return list
}

// modifier adds a header modifier, the one sort of filter that a backendRef may have too.
func (b *builder) modifier(list []plan.Filter, field string, spec gwapiv1.HTTPRouteFilter, mend string) []plan.Filter {
	switch {
	case spec.Type == gwapiv1.HTTPRouteFilterRequestHeaderModifier && spec.RequestHeaderModifier != nil:
		return append(list, plan.Filter{RequestHeaders: b.headers(field+".requestHeaderModifier", spec.RequestHeaderModifier)})
	case spec.Type == gwapiv1.HTTPRouteFilterResponseHeaderModifier && spec.ResponseHeaderModifier != nil:
		return append(list, plan.Filter{ResponseHeaders: b.headers(field+".responseHeaderModifier", spec.ResponseHeaderModifier)})
	}
	b.refuse(field+".type", fmt.Sprintf("filter %s is not supported here in this version", spec.Type), mend)
	return list
}

func (b *builder) headers(field string, spec *gwapiv1.HTTPHeaderFilter) *plan.HeaderModifier {
	return &plan.HeaderModifier{
		Set: b.values(field+".set", spec.Set), Add: b.values(field+".add", spec.Add), Remove: b.names(field+".remove", spec.Remove),
	}
}

func (b *builder) values(field string, specs []gwapiv1.HTTPHeader) []plan.HeaderValue {
	var list []plan.HeaderValue
	for i, h := range specs {
		field := fmt.Sprintf("%s[%d]", field, i)
		if strings.ContainsFunc(h.Value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			b.refuse(field+".value", "control characters cannot stand in a header field (RFC 9110, section 5.5)", "remove them")
			continue
		}
		if b.writable(field+".name", string(h.Name)) {
			list = append(list, plan.HeaderValue{Name: string(h.Name), Value: h.Value})
		}
	}
	return list
}

func (b *builder) names(field string, names []string) []string {
	var list []string
	for i, name := range names {
		if b.writable(fmt.Sprintf("%s[%d]", field, i), name) {
			list = append(list, name)
		}
	}
	return list
}

// writable reports whether configuration may touch a field.
func (b *builder) writable(field, name string) bool {
	switch {
	case name == "" || strings.ContainsFunc(name, func(c rune) bool { return !tokenCharacter(c) }):
		b.refuse(field, "not a field name (RFC 9110, section 5.6.2)", "write a name of letters, digits and dashes")
	case exchange.Reserved(name):
		b.refuse(field, "field "+name+" frames messages or belongs to one hop, and no filter may touch it", "leave it out; URLRewrite.hostname changes Host")
	default:
		return true
	}
	return false
}

func tokenCharacter(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c < 0x7f && strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

func (b *builder) redirect(field string, rule *gwapiv1.HTTPRouteRule, spec *gwapiv1.HTTPRequestRedirectFilter) *plan.Redirect {
	redirect := &plan.Redirect{
		Scheme: strings.ToLower(attach.Or(spec.Scheme, "")), Hostname: strings.ToLower(attach.Or(spec.Hostname, "")),
		Path: b.pathModifier(field+".path", rule, spec.Path), Status: 302,
	}
	if redirect.Scheme != "" && redirect.Scheme != "http" && redirect.Scheme != "https" {
		b.refuse(field+".scheme", "scheme "+redirect.Scheme+" is not supported", "write http or https")
	}
	if spec.Port != nil {
		redirect.Port = int(*spec.Port)
	}
	if spec.StatusCode != nil {
		redirect.Status = *spec.StatusCode
	}
	switch redirect.Status {
	case 301, 302, 303, 307, 308:
	default:
		b.refuse(field+".statusCode", fmt.Sprintf("status %d does not redirect", redirect.Status), "write 301, 302, 303, 307 or 308")
	}
	return redirect
}

// pathModifier replaces paths. Replacing the matched prefix needs every match to have one (Gateway API,
// HTTPPathModifier.replacePrefixMatch).
func (b *builder) pathModifier(field string, rule *gwapiv1.HTTPRouteRule, spec *gwapiv1.HTTPPathModifier) *plan.PathModifier {
	switch {
	case spec == nil:
		return nil
	case spec.Type == gwapiv1.FullPathHTTPPathModifier && spec.ReplaceFullPath != nil:
		return &plan.PathModifier{Full: spec.ReplaceFullPath}
	case spec.Type == gwapiv1.PrefixMatchHTTPPathModifier && spec.ReplacePrefixMatch != nil:
		for _, m := range rule.Matches {
			if m.Path != nil && attach.Or(m.Path.Type, string(plan.PathPrefix)) != string(plan.PathPrefix) {
				b.refuse(field+".replacePrefixMatch", "a match of the rule has no path prefix to replace", "match by PathPrefix alone")
				break
			}
		}
		return &plan.PathModifier{Prefix: spec.ReplacePrefixMatch}
	}
	b.refuse(field+".type", fmt.Sprintf("type %s without its value", spec.Type), "write replaceFullPath or replacePrefixMatch with its type")
	return nil
}
