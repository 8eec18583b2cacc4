package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/test/e2e/command"
)

const patience = 40 * time.Second // for anything awaited: the machine may be busy

// process is a gateway that serves a folder.
type process struct {
	*command.Process
	admin, health string // addresses
}

// taken is what the process says of a configuration that is in force, kept of one that is not.
const (
	taken = `msg="configuration taken"`
	kept  = "the last good one keeps serving"
)

// run serves the folder once it is ready.
func run(t testing.TB, f folder, more ...string) *process {
	t.Helper()
	p := launch(t, f, more...)
	p.Await(t, "serving on ")
	return p
}

// launch starts without waiting for anything.
func launch(t testing.TB, f folder, more ...string) *process {
	t.Helper()
	ports := testkit.Ports(t, 2)
	p := &process{admin: fmt.Sprintf("127.0.0.1:%d", ports[0]), health: fmt.Sprintf("127.0.0.1:%d", ports[1])}
	args := append([]string{"run", "-f", f.dir, "--admin", p.admin, "--health", p.health}, more...)
	p.Process = command.Start(t, os.Getenv(binary), nil, args...)
	return p
}

// reloads does what changes the folder, and waits until that is in force.
func (p *process) reloads(t testing.TB, change func()) {
	t.Helper()
	p.after(t, taken, change)
}

// refuses does what breaks the folder, and waits until the process has said so.
func (p *process) refuses(t testing.TB, change func()) {
	t.Helper()
	p.after(t, kept, change)
}

func (p *process) after(t testing.TB, text string, change func()) {
	t.Helper()
	before := p.Err.Count(text)
	change()
	p.Err.Await(t, text, before+1)
}

// ends stops the process and asserts that it ended well.
func (p *process) ends(t testing.TB) {
	t.Helper()
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	document
}

// document is a refusal as problem+json.
type document struct {
	Type, Title, Detail, Reason, Gateway, Route, Policy, Field, RequestID string
	Status                                                                int
	Error                                                                 struct{ Message, Type, Code string }
}

// client has connections of its own and follows nothing.
func client(t testing.TB) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: patience / 4,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// send asks, with the header fields given as pairs.
func send(t testing.TB, c *http.Client, method, url, body string, fields ...string) answer {
	t.Helper()
	got, err := try(t.Context(), c, method, url, body, fields...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func get(t testing.TB, port int, path string, fields ...string) answer {
	t.Helper()
	return send(t, client(t), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), "", fields...)
}

func try(ctx context.Context, c *http.Client, method, url, body string, fields ...string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	response, err := c.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	got := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if err == nil && response.Header.Get("Content-Type") == "application/problem+json" {
		err = json.Unmarshal(text, &got.document)
	}
	return got, err
}

// is asserts a refusal as API.md and docs/reasons.md have it.
func (a answer) is(t testing.TB, status int, reason string) {
	t.Helper()
	if a.status != status || a.Reason != reason {
		t.Fatalf("answered %d %q, not %d %q: %s", a.status, a.Reason, status, reason, a.body)
	}
	switch {
	case !strings.HasSuffix(a.Type, "#"+reason), a.Error.Code != reason, a.Error.Type != reason, a.Error.Message != a.Detail,
		a.Status != status, a.Title != http.StatusText(status), a.Detail == "", a.RequestID == "",
		a.RequestID != a.header.Get("Ebbgate-Request-Id"):
		t.Errorf("not a whole refusal: %s", a.body)
	case inside(a.body):
		t.Errorf("an internal address is in the answer: %s", a.body)
	}
}

// inside tells whether a text has an address that only the operator may know.
func inside(text string) bool {
	for _, address := range []string{"127.0.0.", "10.0.0.", "169.254.", "::1", "64:ff9b"} {
		if strings.Contains(text, address) {
			return true
		}
	}
	return false
}

// ok asserts an answer of the destination.
func (a answer) ok(t testing.TB) {
	t.Helper()
	if a.status != http.StatusOK {
		t.Fatalf("answered %d, not 200: %s", a.status, a.body)
	}
}
