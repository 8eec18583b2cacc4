package sdk_test

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

func TestCurl(t *testing.T) {
	curl := command.Need(t, "curl", "install it (Debian: apt-get install curl)")
	gateway := quickstart(t)
	chat := func(more string) []string {
		return []string{
			gateway + "/openai/v1/chat/completions", "-H", "content-type: application/json",
			"-d", `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hello there"}]` + more + `}`,
		}
	}
	f := func(name string, args []string, want ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			common := []string{"-sS", "--max-time", "60", "--noproxy", "", "-w", "\ncode=%{http_code} type=%{content_type}"}
			out, ok := command.Run(t, []string{"http_proxy=", "HTTP_PROXY=", "ALL_PROXY="}, curl, append(common, args...)...)
			if !ok {
				t.Fatalf("curl failed: %s", out)
			}
			for _, text := range want {
				if !strings.Contains(out, text) {
					t.Errorf("no %q in:\n%s", text, out)
				}
			}
		})
	}
	f("plain", chat(""), "Hello there", `"finish_reason":"stop"`, "code=200 type=application/json")
	f("streamed", append(chat(`,"stream":true`), "-N"), "data: {", "data: [DONE]", "code=200 type=text/event-stream")
	f("expecting 100-continue", append(chat(""), "-H", "expect: 100-continue"), "Hello there", "code=200")
	f("chunked", append(chat(""), "-H", "transfer-encoding: chunked"), "Hello there", "code=200")
	f("HTTP/1.0", append(chat(""), "-0"), "Hello there", "code=200")
	f("head", []string{"-I", gateway + "/openai/v1/models"}, "code=405 type=application/json")
	f("a key of the client's own is not passed on", append(chat(""), "-H", "authorization: Bearer mine", "-H", "x-api-key: mine"), "code=200")
	f("no route", []string{gateway + "/nowhere"}, `"reason":"route_not_found"`, "code=404 type=application/problem+json")
	f("as proxy, for a host nobody configured", []string{"-x", gateway, "http://example.test/v1"},
		`"reason":"route_not_found"`, "code=404 type=application/problem+json")
	f("as proxy, for metadata", []string{"-x", gateway, "http://169.254.169.254/latest/meta-data/"}, `"reason":"route_not_found"`, "code=404")
	f("as proxy, for itself", append(chat(""), "-x", gateway), "Hello there", "code=200")
	f("from a web page", append(chat(""), "-H", "origin: https://evil.test"), `"reason":"cross_origin_denied"`, "code=403")

	t.Run("tunnel", func(t *testing.T) {
		out, ok := command.Run(t, []string{"NO_PROXY="}, curl, "-sS", "--max-time", "60", "-p", "-x", gateway, "https://example.test/")
		if ok || !strings.Contains(out, "404") {
			t.Errorf("CONNECT to a host that nobody configured: %s", out)
		}
	})
}
