// Package problem is what a user got wrong, as opposed to an error, which is ours. Loader and translator make problems;
// validate prints them, status turns them into conditions.
package problem

import (
	"fmt"
	"strings"
)

// Problem names the object, the field and the mend. It never holds a secret's value.
type Problem struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Object    string `json:"object"`              // Kind/namespace/name; empty where a file does not parse
	Field     string `json:"field,omitempty"`     // spec.rules[0].backendRefs[0].name
	Condition string `json:"condition,omitempty"` // the condition that says it in status: Accepted, ResolvedRefs, Effective …
	Reason    string `json:"reason"`              // CamelCase, as in conditions
	Message   string `json:"message"`             // what is wrong, one sentence
	Mend      string `json:"mend,omitempty"`      // what to write instead, one sentence
	Warning   bool   `json:"warning,omitempty"`   // served as written all the same: Effective=False, a lint
}

// String is one line: file:line: object: field: message (mend).
func (p Problem) String() string {
	var parts []string
	if p.File != "" {
		place := p.File
		if p.Line > 0 {
			place = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		parts = append(parts, place)
	}
	for _, part := range []string{p.Object, p.Field, p.Message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	line := strings.Join(parts, ": ")
	if p.Mend != "" {
		line += " (" + p.Mend + ")"
	}
	return line
}
