package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/testkit/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started is a demo that nothing has been asked of yet.
func started(t *testing.T, out *bytes.Buffer) *demo {
	t.Helper()
	d, err := start(t.Context(), Config{Out: out})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return d
}

func TestEveryClaimHolds(t *testing.T) {
	var out bytes.Buffer
	d := started(t, &out)
	for _, name := range []string{d.folder, d.config()} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if err := d.show(t.Context()); err != nil {
		t.Error(err)
	}
	text := out.String()
	for _, line := range []string{
		`ok  the client, which sends no key, is answered: 200 You said: "Hello"`,
		`ok  executed by the primary, which verifies the key of each request: 1`,
		`ok  the same request without a key, straight to the primary: 401`,
		`ok  the gateway itself answers, with its reason: 403 request_not_allowed`,
		`ok  requests that reached a provider: 0`,
		`+ paths: [/v1/chat/completions, /v1/embeddings]`,
		`ok  what was refused is answered, without a restart: 200`,
		`error: chat.yaml:9: EgressPolicy/ai/chat: spec.requests.path: unknown field (did you mean paths?)`,
		`ok  the last good configuration serves: what it allows: 200`,
		`ok  the primary gets requests again: true`,
		`ok  requests executed more than once, by both providers' ledger: 0`,
		`ok  requests executed more than once, in the whole demo: 0`,
		"All " + strconv.Itoa(strings.Count(text, "\n   ok  ")) + " claims hold.",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("not said: %s", line)
		}
	}
	for line, times := range map[string]int{
		"ok  the client is told that nobody knows: 504 outcome_unknown": 2,
		"ok  times that it was executed, by both providers' ledger: 1":  2,
		"ok  requests that reached the secondary: 0":                    2,
		"ok  requests that failed, of the ":                             3,
		"ok  answered by the primary, of ":                              2,
		"ok  answered by the secondary, of ":                            1,
		"\n   NO  ":                                                     0,
		d.primary.config.Key:                                            0, d.secondary.config.Key: 0, "sk-": 0,
	} {
		if n := strings.Count(text, line); n != times {
			t.Errorf("%d times, not %d: %s", n, times, line)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 100+len("\n") && !strings.Contains(line, d.folder) {
			t.Errorf("wider than a terminal: %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// TestAClaimThatDoesNotHold has each step see something else than it claims.
func TestAClaimThatDoesNotHold(t *testing.T) {
	fail := func(_ context.Context, d *demo) error {
		d.primary.SetFail(func(r *http.Request) provider.Fault {
			if r.URL.Path != chats {
				return provider.Fault{}
			}
			return provider.Fault{Kind: provider.Fail, Status: http.StatusInternalServerError}
		})
		return nil
	}
	for _, c := range []struct {
		name   string
		meddle func(context.Context, *demo) error
		step   func(*demo, context.Context) error
		want   string
	}{
		{"another key", func(_ context.Context, d *demo) error { d.primary.SetKey("another"); return nil },
			(*demo).first, `the client, which sends no key, is answered: 502 credential_rejected, not 200 You said: "Hello"`},
		{"a policy that allows", func(ctx context.Context, d *demo) error { return d.reload(ctx) },
			(*demo).refusal, "the gateway itself answers, with its reason: 200, not 403 request_not_allowed"},
		{"requests that fail", fail, (*demo).reload, "requests that failed, of the "},
		{"a request that was executed before", func(ctx context.Context, d *demo) error { d.chat(ctx, "reset"); return nil },
			(*demo).noDoubleWork, "times that it was executed, by both providers' ledger: 2, not 1"},
		{"requests that fail before the primary dies", fail, (*demo).failover, "requests that failed, of the "},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			d := started(t, &out)
			if err := c.meddle(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if err := c.step(d, t.Context()); err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(d.broken, c.want) {
				t.Errorf("%q, want %q; it said:\n%s", d.broken, c.want, out.String())
			}
		})
	}
}

func TestRunFailsWithAClaim(t *testing.T) {
	var out bytes.Buffer
	d := started(t, &out)
	d.primary.SetKey("another")
	err := d.show(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "step 1 does not show what it should: ") {
		t.Error(err)
	}
	if strings.Contains(out.String(), "\n2. ") || strings.Contains(out.String(), "hold") {
		t.Errorf("it went on:\n%s", out.String())
	}
}

// ending ends the demo once a text is printed.
type ending struct {
	bytes.Buffer
	text string
	end  context.CancelFunc
}

func (e *ending) Write(p []byte) (int, error) {
	if strings.Contains(string(p), e.text) {
		defer e.end()
	}
	return e.Buffer.Write(p)
}

func TestEndedEarly(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, text := range []string{"A gateway on", "in force after", "is killed", "says nothing"} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &ending{text: text, end: cancel}
		if err := Run(ctx, Config{Out: out}); !errors.Is(err, ErrEnded) || err.Error() != ErrEnded.Error() {
			t.Errorf("%s: %v", text, err)
		}
		if strings.Contains(out.String(), "NO") {
			t.Errorf("%s: a claim is made of a demo that was ended:\n%s", text, out.String())
		}
		if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v, %v", text, left, err)
		}
		cancel()
	}
}

func TestPortInUse(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, text, _ := net.SplitHostPort(l.Addr().String())
	port, _ := strconv.Atoi(text)
	t.Setenv("TMPDIR", t.TempDir())
	err = Run(t.Context(), Config{Out: new(bytes.Buffer), Port: port})
	want := fmt.Sprintf("start demo: Gateway/ai/egress: spec.listeners: the address 127.0.0.1:%d cannot be listened on: ", port)
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s…", err, want)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
