package egress

import (
	"regexp"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	f := func(text, path string, want bool) {
		t.Helper()
		p, err := newPattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.match(path); got != want {
			t.Errorf("%s on %s: %t", text, path, got)
		}
	}
	f("/v1/embeddings", "/v1/embeddings", true)
	f("/v1/embeddings", "/v1/embeddings/", false)
	f("/v1/embeddings", "/V1/embeddings", false)
	f("/v1/embeddings/", "/v1/embeddings/", true)
	f("/v1/embeddings/", "/v1/embeddings", false)
	f("/v1/*", "/v1/models", true)
	f("/v1/*", "/v1/", true)
	f("/v1/*", "/v1", false)
	f("/v1/*", "/v1/models/x", false)
	f("/v1/*", "/v1/models%2Fx", true)
	f("/v1/*/x", "/v1/a%2Fb/x", true)
	f("/v1/models/gpt-*", "/v1/models/gpt-4", true)
	f("/v1/models/gpt-*", "/v1/models/gpt-", true)
	f("/v1/models/gpt-*", "/v1/models/o1", false)
	f("/v1/*:generate", "/v1/gemini:generate", true)
	f("/a*b*c", "/abc", true)
	f("/a*b*c", "/axxbyyc", true)
	f("/a*b*c", "/acb", false)
	f("/ab*ba", "/aba", false)
	f("/v1/chat/**", "/v1/chat/x", true)
	f("/v1/chat/**", "/v1/chat/x/y/z", true)
	f("/v1/chat/**", "/v1/chat/", true)
	f("/v1/chat/**", "/v1/chat", false)
	f("/v1/chat/**", "/v1/chatty/x", false)
	f("/v1/*/**", "/v1/a/b", true)
	f("/v1/*/**", "/v1/a", false)
	f("/**", "/", true)
	f("/**", "/x/y", true)
	f("/**", "*", false)
	f("/**", "", false)
	f("/", "/", true)
	f("/", "/x", false)
	f("/%7Euser/%2F", "/~user/%2F", true)
	f("/a%2Fb", "/a/b", false)
}

func TestPatternRefuses(t *testing.T) {
	for _, text := range []string{"", "v1", "*", "/a**", "/**/b", "/a?b", "/a#b", "/a%zz", "/a b"} {
		if _, err := newPattern(text); err == nil {
			t.Errorf("%q passed", text)
		}
	}
}

// oracle is the same pattern as a regular expression, where it is in normal form.
func oracle(text string) *regexp.Regexp {
	rest, below := strings.CutSuffix(text, "/**")
	pieces := strings.Split(rest, "*")
	for i, p := range pieces {
		pieces[i] = regexp.QuoteMeta(p)
	}
	expression := `\A` + strings.Join(pieces, `(?s:[^/]*)`)
	if below {
		expression += `/(?s:.*)`
	}
	return regexp.MustCompile(expression + `\z`)
}

func FuzzPattern(f *testing.F) {
	for _, seed := range [][2]string{
		{"/v1/*", "/v1/a"}, {"/a*b*c/**", "/axbc/d"}, {"/**", "/"}, {"//*", "//a"}, {"/ab*ba", "/abba"}, {"/a", "a"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, text, path string) {
		p, err := newPattern(text)
		if err != nil || strings.Contains(text, "%") || strings.Contains(text, "/.") {
			return
		}
		if got, want := p.match(path), oracle(text).MatchString(path); got != want {
			t.Errorf("%q on %q: %t, the expression says %t", text, path, got, want)
		}
	})
}
