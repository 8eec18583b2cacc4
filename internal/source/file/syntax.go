package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// A parser's error may quote what it read ("unknown anchor 'hunter2' referenced" for a password that begins with an
// asterisk). So its text is looked up here and never passed on; what is not in the table is told without a reason.
var complaints = []struct {
	text, message, mend string
	after               bool // the parser, unlike the scanner, counts the line of its mark from 0
}{
	{"mapping values are not allowed", "a colon followed by a space stands where no key can be", "indent with spaces under the key above, or quote a value that has a colon in it", false},
	{"could not find expected ':'", "a line is no key, as its colon is missing", "write key: value, and indent the lines of a longer value", false},
	{"did not find expected key", "the indentation does not fit the lines above", "indent the keys of one object by the same number of spaces", true},
	{"did not find expected '-' indicator", "the indentation does not fit the list above", "indent the dashes of one list by the same number of spaces", true},
	{"did not find expected ',' or", "a list or an object in brackets is not closed, or lacks a comma", "separate with commas and close the bracket", true},
	{"did not find expected node content", "a value is missing", "write a value, or quote one that begins with a special character", true},
	{"found a tab character", "a tab stands where YAML wants spaces", "indent with spaces", false},
	{"found character that cannot start any token", "a value begins with a character that YAML reserves", "quote the value", false},
	{"found unexpected end of stream", "a quoted value is not closed", "close the quotes", false},
	{"found unexpected document indicator", "a quoted value is not closed before the next document", "close the quotes", false},
	{"found unknown escape character", "a double-quoted value has an unknown backslash escape", `use single quotes, or write \\`, false},
	{"found invalid Unicode character escape code", "a double-quoted value has an escape that is no character", "write the character itself", false},
	{"did not find expected hexdecimal number", "a double-quoted value has an incomplete escape", `use single quotes, or write \\`, false},
	{"block sequence entries are not allowed", "a dash stands where no list can begin", "begin the list on a line of its own", false},
	{"mapping keys are not allowed", "a key stands where none can be", "begin it on a line of its own", false},
	{"did not find expected comment or line break", "something follows a block value's indicator", "put the text on the lines below", false},
	{"did not find expected alphabetic or numeric", "a value begins with & or * and is no anchor", "quote the value", false},
	{"unknown anchor", "a value begins with an asterisk and names no anchor of its document", "quote the value, or define the anchor above", false},
	{"value contains itself", "an anchor contains itself", "write the value out", false},
	{"excessive aliasing", "aliases make the document too large", "write the values out", false},
	{"map merge requires", "<< merges something that is no object", "merge an anchored object", false},
	{"control characters are not allowed", "a control character stands in the text", "write it as an escape in double quotes, or use base64", false},
	{"already set in map", "a key is given twice", "keep one of the two", false},
	{"cannot decode", "a value is not what its tag says", "take the tag off", false},
	{"undefined tag handle", "a tag is not defined", "take the tag off", true},
	{"exceeded max depth", "the document is nested too deeply", "write it flat", false},
}

// tab lays the blame on a tab where one is: a reader cannot see it, and the parser says no more than that a token cannot
// begin with it, or complains of the indentation that it makes.
func (f *fault) tab(text []byte) {
	rows := bytes.Split(text, []byte("\n"))
	if f.line < 1 || f.line > len(rows) {
		return
	}
	if start := bytes.TrimSpace(text); len(start) == 0 || start[0] == '{' || start[0] == '[' {
		return // between brackets tabs may indent
	}
	row := rows[f.line-1]
	indent := row[:len(row)-len(bytes.TrimLeft(row, " \t-"))]
	if bytes.IndexByte(indent, '\t') >= 0 {
		f.message, f.mend = "not valid YAML: a tab stands where YAML wants spaces", "indent with spaces"
	}
}

// json speaks of JSON where the document is some, which its first bytes tell: YAML's own objects in braces quote no key.
func (f *fault) json(text []byte) {
	if !jsonStart.Match(text) {
		return
	}
	wrong, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(text, new(any)))
	if !ok {
		return
	}
	f.line = 1 + bytes.Count(text[:min(int(wrong.Offset), len(text))], []byte("\n"))
	f.message, f.mend = "not valid JSON", "quote every key and text, separate with commas, and close what is open"
	if int(wrong.Offset) >= len(bytes.TrimRight(text, " \t\r\n")) {
		f.line = 1 + bytes.Count(bytes.TrimSpace(text), []byte("\n"))
		f.message, f.mend = "not valid JSON: it is cut short", "write the rest: each {, [ and quote has to be closed"
	}
}

var jsonStart = regexp.MustCompile(`^\s*(\{\s*"|\[\s*\{\s*")`)

var lineOf = regexp.MustCompile(`line ([0-9]+):`)

// complaint makes a fault of a parser's error without quoting it.
func complaint(err error) fault {
	text := err.Error()
	f := fault{line: 1, reason: "InvalidYAML", message: "the document is not valid YAML"}
	if m := lineOf.FindStringSubmatch(text); m != nil {
		f.line, _ = strconv.Atoi(m[1])
	}
	for _, c := range complaints {
		if strings.Contains(text, c.text) {
			f.message, f.mend = "not valid YAML: "+c.message, c.mend
			if c.after && lineOf.MatchString(text) {
				f.line++
			}
			break
		}
	}
	return f
}
