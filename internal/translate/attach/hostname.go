package attach

import "strings"

// Intersect reports whether some host name matches both hostnames, each exact, "*.suffix" or empty for all. A wildcard
// stands for one label or more (Gateway API, Hostname).
func Intersect(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	switch aWild, bWild := strings.HasPrefix(a, "*."), strings.HasPrefix(b, "*."); {
	case a == "" || b == "" || a == b:
		return true
	case aWild && bWild:
		return strings.HasSuffix(a, b[1:]) || strings.HasSuffix(b, a[1:])
	case aWild:
		return strings.HasSuffix(b, a[1:])
	case bWild:
		return strings.HasSuffix(a, b[1:])
	}
	return false
}
