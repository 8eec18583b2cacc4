package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

const patience = 20 * time.Second // for what should take a moment

// secrets are a folder of Secrets as namespace/name/key.
type secrets struct {
	t    testing.TB
	dir  string
	next string // a folder of the same file system, for files that are about to be moved in
}

func newSecrets(t testing.TB, s story) *secrets {
	t.Helper()
	return newSecretsOf(t, s, testkit.CA(t, "vendor"))
}

func newSecretsOf(t testing.TB, s story, authority *ca.CA) *secrets {
	t.Helper()
	root := t.TempDir()
	made := &secrets{t: t, dir: filepath.Join(root, "secrets"), next: filepath.Join(root, "next")}
	for _, dir := range []string{made.dir, made.next} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.secrets(made, authority)
	return made
}

// put writes a key whole: beside, and moved into its place.
func (s *secrets) put(name, key, value string) {
	s.t.Helper()
	folder, beside := filepath.Join(s.dir, filepath.FromSlash(name)), filepath.Join(s.next, key)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(beside, []byte(value), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(beside, filepath.Join(folder, key)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *secrets) remove(name string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, filepath.FromSlash(name))); err != nil {
		s.t.Fatal(err)
	}
}

// names are the Secrets as namespace/name.
func (s *secrets) names(t *testing.T) []string {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(s.dir, "*", "*"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("no Secrets: %v", err)
	}
	var list []string
	for _, folder := range folders {
		name, err := filepath.Rel(s.dir, folder)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, filepath.ToSlash(name))
	}
	return list
}

// gateway is the command at work on one story.
type gateway struct {
	t       *testing.T
	address string // that its listener has
	folder  string // of its configuration
	log     *transcript
	command *exec.Cmd
	ended   bool
}

// start runs the command on the story's files until the test ends. It must end well when it is told to.
func start(t *testing.T, s story, made *secrets, address string) *gateway {
	t.Helper()
	g := &gateway{t: t, address: address, folder: s.name, log: newTranscript()}
	g.command = exec.CommandContext(context.WithoutCancel(t.Context()), binary, "run", "-f", s.name, "--secrets", made.dir, "--admin", "127.0.0.1:0", "--health", "127.0.0.1:0",
		"--access-log", "stderr", "--drain", "5s")
	errors, err := g.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.command.Start(); err != nil {
		t.Fatal(err)
	}
	go g.log.read(errors)
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Logf("the gateway said at last:\n%s", g.log.tail())
		}
	})
	select {
	case <-g.log.serving:
	case <-g.log.over:
		t.Fatal("the gateway did not come up")
	case <-time.After(patience):
		t.Fatal("the gateway does not serve")
	}
	return g
}

// change replaces text in a file of the folder, which is moved into its place whole.
func (g *gateway) change(file, from, to string) {
	g.t.Helper()
	name, beside := filepath.Join(g.folder, file), filepath.Join(g.folder, ".next")
	text, err := os.ReadFile(name)
	if err != nil {
		g.t.Fatal(err)
	}
	if strings.Count(string(text), from) != 1 {
		g.t.Fatalf("%s has %q not once", file, from)
	}
	if err := os.WriteFile(beside, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		g.t.Fatal(err)
	}
	if err := os.Rename(beside, name); err != nil {
		g.t.Fatal(err)
	}
}

// stop ends it as an operator does, where nothing has ended it before.
func (g *gateway) stop() {
	g.t.Helper()
	if g.ended {
		return
	}
	g.ended = true
	_ = g.command.Process.Signal(syscall.SIGTERM) // one that has ended already shows below
	late := time.AfterFunc(patience, func() { _ = g.command.Process.Kill() })
	<-g.log.over
	if err := g.command.Wait(); err != nil {
		g.t.Errorf("the gateway ended badly: %v", err)
	}
	late.Stop()
	g.log.secretive(g.t)
}

// kill ends it as a crash does: its connections break off, and its logs may lack the end.
func (g *gateway) kill() {
	g.t.Helper()
	g.ended = true
	if err := g.command.Process.Kill(); err != nil {
		g.t.Fatal(err)
	}
	<-g.log.over
	if err := g.command.Wait(); err == nil {
		g.t.Error("the gateway ended well before it was killed")
	}
}

// transcript is what the gateway says on standard error.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed with the next line
	serving chan struct{} // closed once it serves
	over    chan struct{} // closed at the end
}

func newTranscript() *transcript {
	return &transcript{changed: make(chan struct{}), serving: make(chan struct{}), over: make(chan struct{})}
}

func (l *transcript) read(from io.Reader) {
	defer close(l.over)
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for up := false; lines.Scan(); {
		l.mu.Lock()
		l.text.Write(lines.Bytes())
		l.text.WriteByte('\n')
		close(l.changed)
		l.changed = make(chan struct{})
		l.mu.Unlock()
		if !up && bytes.HasPrefix(lines.Bytes(), []byte("serving on ")) {
			up = true
			close(l.serving)
		}
	}
}

// entry is a line of the access log, or, with an event, of the audit log.
type entry struct {
	Event, Path, Hop               string
	Reason, Policy, Field, Aborted string
	Status, Depth                  int
	Client                         struct {
		Cluster, Namespace, Source string
		ServiceAccount             string `json:"service_account"`
	}
	Attempts []struct {
		Backend, Parent, Address, Class, Reason string
		Status                                  int
		Duplicate                               bool
	}
	Candidates, Vetoed []candidate
}

// candidate is a backend that a policy left out.
type candidate struct{ Backend, Region, Reason, Policy, Field string }

// name is the client's whole name.
func (e entry) name() string {
	return strings.TrimPrefix(e.Client.Cluster+"/", "/") + e.Client.Namespace + "/" + e.Client.ServiceAccount
}

// entries are the lines so far of an event, empty for the access log, and of a path as received.
func (l *transcript) entries(event, path string) []entry {
	var list []entry
	for line := range strings.Lines(l.String()) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == event && e.Path == path {
			list = append(list, e)
		}
	}
	return list
}

// logged waits for the first line of an event, empty for the access log, and of a path that the test asks for once.
func (g *gateway) logged(event, path string) (e entry) {
	g.t.Helper()
	g.log.await(g.t, fmt.Sprintf("event %q for %s", event, path), func() bool {
		list := g.log.entries(event, path)
		if len(list) > 0 {
			e = list[0]
		}
		return len(list) > 0
	})
	return e
}

// line waits for the access log's line of an answer.
func (g *gateway) line(a answer) (e entry) {
	g.t.Helper()
	id := a.header.Get("Ebbgate-Request-Id")
	g.log.await(g.t, "the line of "+id, func() bool {
		for line := range strings.Lines(g.log.String()) {
			e = entry{}
			if strings.Contains(line, id) && json.Unmarshal([]byte(line), &e) == nil && e.Event == "" {
				return true
			}
		}
		return false
	})
	return e
}

// taken waits until n changes of the configuration have been taken.
func (g *gateway) taken(n int) {
	g.t.Helper()
	g.log.await(g.t, "configuration taken", func() bool { return strings.Count(g.log.String(), "configuration taken") >= n })
}

// await looks again with each line until it holds.
func (l *transcript) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for late := time.After(patience); ; {
		l.mu.Lock()
		changed := l.changed // before the look, so that no line is missed
		l.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-late:
			t.Fatalf("the gateway has not said: %s", what)
		}
	}
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// tail is the end of it.
func (l *transcript) tail() string {
	all := strings.SplitAfter(l.String(), "\n")
	return strings.Join(all[max(0, len(all)-12):], "")
}

// secretive asserts that nothing that was said, in logs or otherwise, shows a key of ours or of a client. It is for the
// end, when the logs are whole.
func (l *transcript) secretive(t *testing.T) {
	t.Helper()
	said := l.String()
	if !strings.Contains(said, `"request_id"`) {
		t.Error("the gateway has logged no request")
	}
	for _, secret := range []string{"sk-", "of-the-client", "PRIVATE KEY"} {
		if i := strings.Index(said, secret); i >= 0 {
			t.Errorf("a log shows a credential: %q", said[max(0, i-80):min(len(said), i+40)])
		}
	}
}

// client calls the gateway from an address of this machine, which is what names it. Each call is a connection of its own
// unless it keeps them.
type client struct {
	g    *gateway
	http *http.Client
}

func (g *gateway) from(address string, keep bool) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: !keep, DisableCompression: true}
	g.t.Cleanup(transport.CloseIdleConnections)
	return &client{g: g, http: &http.Client{Transport: transport, Timeout: patience}}
}

// answer is what a client got. Problem is filled where it is a refusal.
type answer struct {
	status  int
	header  http.Header
	body    string
	problem struct {
		Status                               int
		Reason, Policy, Field, Route, Detail string
	}
}

// echoed is what an echoing far side saw of the request.
func (a answer) echoed(t testing.TB) upstream.Echoed {
	t.Helper()
	var seen upstream.Echoed
	if err := json.Unmarshal([]byte(a.body), &seen); err != nil || a.status != http.StatusOK {
		t.Fatalf("answer %d is no echo: %s", a.status, a.body)
	}
	return seen
}

// try makes a call; fields are pairs of name and value.
func (c *client) try(method, path, body string, fields ...string) (answer, error) {
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+c.g.address+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for i := 0; i+1 < len(fields); i += 2 {
		request.Header.Add(fields[i], fields[i+1])
	}
	request.Host = request.Header.Get("Host") // empty: the gateway's own
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a := answer{status: response.StatusCode, header: response.Header, body: string(text)}
	if err == nil && response.Header.Get("Content-Type") == "application/problem+json" {
		err = json.Unmarshal(text, &a.problem)
	}
	return a, err
}

func (c *client) do(method, path, body string, fields ...string) answer {
	c.g.t.Helper()
	a, err := c.try(method, path, body, fields...)
	if err != nil {
		c.g.t.Fatal(err)
	}
	return a
}

func (c *client) get(path string, fields ...string) answer {
	c.g.t.Helper()
	return c.do(http.MethodGet, path, "", fields...)
}

// refused asserts a problem document: status, reason, policy and field.
func refused(t *testing.T, a answer, status int, reason, policy, field string) {
	t.Helper()
	p := a.problem
	if a.status != status || p.Status != status || p.Reason != reason || p.Policy != policy || p.Field != field {
		t.Errorf("answer %d %s, want %d with reason %q, policy %q and field %q", a.status, a.body, status, reason, policy, field)
	}
}

// far starts a far side on the address that a story's standalone folder names.
func far(t *testing.T, config upstream.Config) *upstream.Upstream {
	t.Helper()
	return testkit.Upstream(t, config)
}

// silent asserts that a far side was connected to n times and heard not one byte of a request.
func silent(t *testing.T, up *upstream.Upstream, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if n > 0 { // what was written may be under way until the connection's end
		if err := up.WaitClosed(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	if up.Connections() != n || up.RequestBytes() != 0 || up.Heads() != 0 {
		t.Errorf("the far side saw %d connections, %d bytes and %d requests; want %d connections and nothing else",
			up.Connections(), up.RequestBytes(), up.Heads(), n)
	}
}

// lines asserts that the header lines of the names are, in order and case, the ones wanted.
func lines(t *testing.T, request upstream.Request, want ...string) {
	t.Helper()
	if !slices.Equal(request.Lines, want) {
		t.Errorf("the far side got the lines\n  %s\nwant\n  %s", strings.Join(request.Lines, "\n  "), strings.Join(want, "\n  "))
	}
}

// raw sends bytes on a connection of their own and gives back all that comes until the gateway closes it.
func (g *gateway) raw(request string) string {
	g.t.Helper()
	c, err := (&net.Dialer{Timeout: patience}).DialContext(g.t.Context(), "tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	if _, err := io.WriteString(c, request); err != nil {
		g.t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil {
		g.t.Fatal(err)
	}
	return string(all)
}
