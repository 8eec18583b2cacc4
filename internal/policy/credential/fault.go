package credential

import "strings"

const maxValue = 16 << 10 // bytes of a Secret's value: more is no credential

// The faults of a value say what is wrong with it and never quote it; they are empty where nothing is. Translation
// reports them, and the stage goes by the same ones.

// meant is a Secret's value without the line end that editors and echo leave behind it.
func meant(value []byte) string {
	text, ended := strings.CutSuffix(string(value), "\n")
	if ended {
		text = strings.TrimSuffix(text, "\r")
	}
	return text
}

// textFault judges a part of a Basic credential.
func textFault(value []byte) string {
	text := meant(value)
	switch {
	case text == "":
		return "is empty"
	case len(text) > maxValue:
		return "is longer than 16 KiB"
	case strings.IndexFunc(text, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) >= 0:
		return "holds a line end or another control character"
	}
	return ""
}

// usernameFault judges the user name of a Basic credential (RFC 7617, section 2).
func usernameFault(value []byte) string {
	if what := textFault(value); what != "" {
		return what
	}
	if strings.Contains(meant(value), ":") {
		return "holds a colon, which no user name may have"
	}
	return ""
}

// fieldFault judges a value that a header is to have (RFC 9110, section 5.5): visible ASCII, with spaces and tabs between.
func fieldFault(value []byte) string {
	if what := textFault(value); what != "" {
		return what
	}
	text := meant(value)
	switch {
	case strings.Trim(text, " \t") == "":
		return "is blank"
	case strings.Trim(text, " \t") != text:
		return "begins or ends with white space"
	case strings.IndexFunc(text, func(c rune) bool { return c > 0x7e }) >= 0:
		return "holds a character outside ASCII, which no header may have"
	}
	return ""
}
