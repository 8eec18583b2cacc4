package route

import (
	"regexp"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

func TestSegmentIsMatchedWhole(t *testing.T) {
	b := &builder{problems: attach.Problems{}}
	f := func(expression, value string, want bool) {
		t.Helper()
		text, ok := b.segment("field", expression)
		if !ok {
			t.Fatal(b.problems.List)
		}
		if got := regexp.MustCompile(`\A(?:/` + text + `/m)\z`).MatchString("/" + value + "/m"); got != want {
			t.Errorf("%s (as %s), %s: %v", expression, text, value, got)
		}
	}
	f("", "anything", true)
	f("a|b", "a", true)
	f("a|b", "b", true)
	f("a|b", "ab", false)
	f("a", "xa", false)
	f("^a$", "a", true)
	f("^a|^b$", "b", true)
	f("(^a|b$)", "a", true)
	f(`^acme\..*`, "acme.Chat", true)
	f(`^acme\..*`, "bcme.Chat", false)
	f(`(?i)^Chat\z`, "cHAT", true)
	f("(?m)^a$", "a", true)
	f(`a\$`, "a$", true)
	f(`a\$`, "a", false)
	f("b^a", "a", false) // an anchor within holds nowhere
	f("b^a", "ba", false)
	f("^", "", true)
	f(".*", "a.b", true)
}

// TestCompile: what compiles here compiles in a proxy, which has it match whole values.
func TestCompile(t *testing.T) {
	nested := func(depth int) string { return strings.Repeat("(", depth) + "a" + strings.Repeat(")", depth) }
	for expression, want := range map[string]bool{"a|b": true, "a)(b": false, nested(990): true, nested(999): false} {
		if err := compile(expression); (err == nil) != want {
			t.Errorf("%.20s: %t", expression, err == nil)
		}
	}
	if _, err := regexp.Compile(nested(999)); err != nil {
		t.Error("it is no example: it does not compile by itself")
	}
}
