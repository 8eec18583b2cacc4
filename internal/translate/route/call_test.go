package route

import (
	"regexp"
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
