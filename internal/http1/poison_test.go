//go:build poison

package http1

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestEndedViewsArePoisoned(t *testing.T) {
	const in = "GET /first HTTP/1.1\r\nHost: a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n"
	r := NewReader(strings.NewReader(in), Limits{})
	var first, second exchange.Request
	if err := r.ReadRequest(&first); err != nil {
		t.Fatal(err)
	}
	if err := r.ReadRequest(&second); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("\xdb", len("/first")); first.Path != want {
		t.Errorf("the first path is %q behind its end", first.Path)
	}
	if second.Path != "/second" {
		t.Errorf("the second path is %q", second.Path)
	}
	if !r.Release() || second.Path != strings.Repeat("\xdb", len("/second")) {
		t.Errorf("the second path is %q behind Release", second.Path)
	}
}
