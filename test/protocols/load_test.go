package protocols_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const nghttp2 = "install it (Debian: apt-get install nghttp2-client)"

// TestLoad: many streams on few connections, and none of them fails.
func TestLoad(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		names := []string{"web", "either", "two", "clear"}
		if r.straight {
			names = names[:1]
		}
		for _, base := range []string{r.plain, r.secure} {
			for _, name := range names {
				url := base + "/" + name + "/echo"
				out, _ := command.Run(t, nil, command.Need(t, "h2load", nghttp2), "-n", "2000", "-c", "4", "-m", "50", url)
				if !strings.Contains(out, "2000 done, 2000 succeeded, 0 failed") || !strings.Contains(out, "status codes: 2000 2xx") {
					t.Errorf("%s:\n%s", url, out)
				}
			}
		}
	})
}

// TestTrailersOfRequests are what curl cannot send.
func TestTrailersOfRequests(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		body := filepath.Join(t.TempDir(), "body")
		write(t, body, "hello")
		ways := map[string]*upstream.Upstream{"web": r.web, "clear": r.clear, "two": r.either}
		if r.straight {
			ways = map[string]*upstream.Upstream{"any": r.clear}
		}
		for name, far := range ways {
			n := far.Heads()
			out, ok := command.Run(t, nil, command.Need(t, "nghttp", nghttp2), "-d", body, "--no-content-length", "-H", "trailer: x-mine", "--trailer", "x-mine: 1", r.plain+"/"+name+"/trailers")
			if !ok || !strings.Contains(out, "hello") {
				t.Errorf("%s: %s", name, out)
			}
			if seen := saw(t, far, n); string(seen.Body) != "hello" || len(seen.Trailers) != 1 || !strings.EqualFold(seen.Trailers[0], "x-mine: 1") {
				t.Errorf("%s: body %q, trailers %q", name, seen.Body, seen.Trailers)
			}
		}
	})
}
