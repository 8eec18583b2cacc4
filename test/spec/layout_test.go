package spec_test

import "strings"

// indented is a text whose lines are moved to the right.
func indented(text, by string) string {
	return strings.ReplaceAll("\n"+strings.TrimPrefix(text, "\n"), "\n", "\n"+by)
}

// with is a policy for a kind of routes.
func with(policy, kind string) string { return strings.ReplaceAll(policy, "KIND", kind) }
