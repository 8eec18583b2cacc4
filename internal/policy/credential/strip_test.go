package credential

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestStripQuery(t *testing.T) {
	f := func(path, want string) {
		t.Helper()
		a := &exchange.Attempt{Path: path}
		strip(a)
		if a.Path != want {
			t.Errorf("%s: %s, want %s", path, a.Path, want)
		}
	}
	f("/v1", "/v1")
	f("/v1?", "/v1?")
	f("/v1?alt=sse", "/v1?alt=sse")
	f("/v1?key=abc", "/v1")
	f("/v1?key", "/v1")
	f("/v1?KEY=abc&alt=sse", "/v1?alt=sse")
	f("/v1?alt=sse&k%65y=abc&z=%20+", "/v1?alt=sse&z=%20+")
	f("/v1?a=key=1&monkey=2&key2=3", "/v1?a=key=1&monkey=2&key2=3")
	f("/v1?api_key=1&api-key=2&apikey=3&access_token=4&subscription-key=5&q=6", "/v1?q=6")
	f("/v1?&&key=1&", "/v1?&&")
	f("/v1?k%zzy=1", "/v1?k%zzy=1")
	f("/key=1?q=2", "/key=1?q=2")
}

func FuzzStripQuery(f *testing.F) {
	f.Add("/a?key=1&b=2")
	f.Add("/a?b&%6bey&")
	f.Fuzz(func(t *testing.T, path string) {
		a := &exchange.Attempt{Path: path}
		strip(a)
		if len(a.Path) > len(path) {
			t.Errorf("%q grew to %q", path, a.Path)
		}
		_, query, _ := strings.Cut(a.Path, "?")
		values, _ := url.ParseQuery(query)
		for name := range values {
			for _, known := range ClientParameters() {
				if strings.EqualFold(name, known) && !strings.Contains(query, ";") {
					t.Errorf("%q keeps %s in %q", path, name, a.Path)
				}
			}
		}
	})
}

func TestTheReadmeListsWhatIsStripped(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(ClientHeaders(), ClientParameters()...) {
		if !strings.Contains(string(readme), "`"+name+"`") {
			t.Errorf("README.md does not list `%s`", name)
		}
	}
}
