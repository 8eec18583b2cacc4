package protocols_test

import (
	"crypto/sha256"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// way is a way to a destination.
type way struct {
	name string
	base string   // the URL that paths are put behind
	with []string // flags of curl
	http string   // the version of its answers, as curl says it
	far  *upstream.Upstream
	saw  string // the version that the destination sees
}

// ways are those that curl is to go.
func (r *rig) ways() []way {
	const one, two = "HTTP/1.1", "HTTP/2.0"
	trust := []string{"--cacert", r.root}
	if r.straight {
		return []way{
			{"1.1", r.plain + "/web", []string{"--http1.1"}, "1.1", r.clear, one},
			{"1.1 over TLS", r.secure + "/web", append(trust, "--http1.1"), "1.1", r.either, one},
			{"2", r.plain + "/web", []string{"--http2-prior-knowledge"}, "2", r.clear, two},
			{"2 over TLS", r.secure + "/web", append(trust, "--http2"), "2", r.either, two},
		}
	}
	return []way{
		{"1.0 to 1.1", r.plain + "/web", []string{"--http1.0"}, "1.1", r.web, one}, // answers say what the server could (RFC 9112, section 2.3)
		{"1.1 as a proxy", "http://web.test/web", []string{"--http1.1", "-x", r.plain}, "1.1", r.web, one},
		{"1.1 to 1.1", r.plain + "/web", []string{"--http1.1"}, "1.1", r.web, one},
		{"1.1 to either", r.plain + "/either", []string{"--http1.1"}, "1.1", r.either, one},
		{"1.1 to 2", r.plain + "/two", []string{"--http1.1"}, "1.1", r.either, two},
		{"1.1 to 2 in clear", r.plain + "/clear", []string{"--http1.1"}, "1.1", r.clear, two},
		{"1.1 over TLS to 1.1", r.secure + "/web", append(trust, "--http1.1"), "1.1", r.web, one},
		{"2 to 1.1", r.plain + "/web", []string{"--http2-prior-knowledge"}, "2", r.web, one},
		{"2 to 2 in clear", r.plain + "/clear", []string{"--http2-prior-knowledge"}, "2", r.clear, two},
		{"2 over TLS to 1.1", r.secure + "/web", append(trust, "--http2"), "2", r.web, one},
		{"2 over TLS to either", r.secure + "/either", append(trust, "--http2"), "2", r.either, two},
		{"2 over TLS to 1.1 over TLS", r.secure + "/one", append(trust, "--http2"), "2", r.either, one},
		{"2 over TLS to 2", r.secure + "/two", append(trust, "--http2"), "2", r.either, two},
	}
}

// curl runs it and gives its output: heads and bodies of all answers, and a last line with what is written of the last.
func curl(t *testing.T, args ...string) (out string, ok bool) {
	t.Helper()
	path := command.Need(t, "curl", "install it (Debian: apt-get install curl)")
	common := []string{"-sS", "-i", "--max-time", "60", "-w", "\ncode=%{http_code} version=%{http_version} connects=%{num_connects}\n"}
	return command.Run(t, []string{"http_proxy=", "HTTP_PROXY=", "ALL_PROXY=", "NO_PROXY=", "no_proxy="}, path, append(common, args...)...)
}

func TestCurl(t *testing.T) { each(t, curls) }

func curls(t *testing.T, r *rig) {
	large := filepath.Join(t.TempDir(), "large")
	write(t, large, strings.Repeat("0123456789", 300_000))
	sum := sha256.Sum256([]byte(strings.Repeat("0123456789", 300_000)))
	for _, w := range r.ways() {
		t.Run(w.name, func(t *testing.T) {
			ask := func(path string, args ...string) string {
				t.Helper()
				out, ok := curl(t, append(append(args, w.with...), w.base+path)...)
				if !ok || !strings.Contains(out, "version="+w.http+" ") {
					t.Errorf("%s: curl failed, or it was not version %s:\n%s", path, w.http, tail(out))
				}
				return out
			}
			f := func(path string, args []string, want ...string) string {
				t.Helper()
				out := ask(path, args...)
				for _, text := range want {
					if !strings.Contains(strings.ToLower(out), strings.ToLower(text)) {
						t.Errorf("%s: no %q in:\n%s", path, text, tail(out))
					}
				}
				return out
			}
			f("/echo?q=1&q=%20", []string{"-H", "x-two: 1", "-H", "x-two: 2"}, "code=200", `"X-Two":["1","2"]`, `?q=1\u0026q=%20"`)
			f("/body", []string{"-I"}, "code=200", "content-length: 300000\r\n")
			f("/none", nil, "code=204")
			f("/ranges", []string{"-r", "300-309"}, "code=206", "content-range: bytes 300-309/300000\r\n", "content-length: 10\r\n")
			f("/ranges", []string{"-H", `if-none-match: "it"`}, "code=304")
			f("/ranges", []string{"-r", "400000-"}, "code=416", "content-range: bytes */300000\r\n")
			if out := f("/body", nil, "code=200"); len(out) < 300_000 {
				t.Errorf("%d bytes in all", len(out))
			}
			if out := f("/events", []string{"-N"}, "code=200", "content-type: text/event-stream"); strings.Count(out, "data: event ") != events {
				t.Errorf("not all events came:\n%s", out)
			}
			f("/missing", nil, "code=404", "404 page not found")
			if w.http != "2" { // where curl takes the reset that follows the answer for a failure (RFC 9113, section 8.1)
				f("/early", []string{"--data-binary", "@" + large}, "code=413", "no more")
			}

			for name, args := range map[string][]string{
				"known":   {"--data-binary", "@" + large},
				"waiting": {"--data-binary", "@" + large, "-H", "expect: 100-continue"},
				"put":     {"-T", large},
			} {
				n := w.far.Heads()
				out := f("/echo", args, "code=200", `"length":3000000`)
				if seen := saw(t, w.far, n); seen.SHA256 != sum || seen.Version != w.saw {
					t.Errorf("%s: another body, of %d bytes, arrived, or by version %s", name, seen.Length, seen.Version)
				}
				if name == "waiting" && !strings.Contains(w.name, "1.0") && w.http == "1.1" && !strings.HasPrefix(out, "HTTP/1.1 100 Continue\r\n") {
					t.Errorf("no 100 Continue:\n%s", tail(out))
				}
			}
			if strings.Contains(w.name, "1.0") {
				return // what follows it has no form for
			}
			f("/trailers", []string{"-H", "te: trailers", "-H", "connection: te"}, "code=200", "hello", "x-sum: 5")
			f("/hinted", nil, "code=200", w.hint()+"103", "link: </style.css>\r\n")
			f("/echo", []string{"--data-binary", "hello", "-H", "transfer-encoding: chunked"}, "code=200", `"length":5`)
			if slices.Contains(w.with, "--http2-prior-knowledge") {
				return // curl's second request on such a connection fails, whoever is at the other end
			}
			two := ask("/none", w.base+"/none")
			if !strings.Contains(two, "connects=1") || !strings.Contains(two, "connects=0") {
				t.Errorf("the connection did not serve twice:\n%s", two)
			}
		})
	}
}

// hint is how the status line of an answer begins.
func (w way) hint() string { return "HTTP/" + w.http + " " }

func tail(text string) string { return text[max(0, len(text)-2000):] }

// TestCurlAsProxy: what clients that know the gateway as their proxy may do, and may not.
func TestCurlAsProxy(t *testing.T) {
	r := serve(t)
	n := r.web.Heads()
	out, ok := curl(t, "-x", r.plain, "http://web.test/echo?q=1", "-H", "proxy-connection: keep-alive", "-H", "proxy-authorization: Basic eDp5")
	if !ok || !strings.Contains(out, "code=200") {
		t.Fatal(out)
	}
	seen := saw(t, r.web, n)
	if seen.Target != "/echo?q=1" || seen.Host != "web.test:"+portOf(t, r.web.Addr()) || len(seen.Values("Proxy-Connection"))+len(seen.Values("Proxy-Authorization")) > 0 {
		t.Errorf("%s", seen.Head)
	}
	for _, url := range []string{"http://other.test/", "http://127.0.0.1:1/", "http://[::1]/"} {
		if out, ok := curl(t, "-x", r.plain, url); !ok || !strings.Contains(out, "code=404") || !strings.Contains(out, "route_not_found") {
			t.Errorf("%s: %s", url, out)
		}
	}
	if r.web.Heads() != n+1 {
		t.Error("a destination saw what was refused")
	}
}
