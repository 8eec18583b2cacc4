package h2_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial starts a far side, over TLS or plain, and connects to it.
func dial(t *testing.T, secure bool, handler http.Handler) (*h2.Conn, *upstream.Upstream, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	config := upstream.Config{Handler: handler}
	var client *tls.Config
	if secure {
		authority := testkit.CA(t, "root")
		config.Certificate = testkit.Loopback(t, authority, "up.example")
		client = &tls.Config{RootCAs: authority.Pool(), ServerName: "up.example", MinVersion: tls.VersionTLS12}
	}
	config.Protocols.SetHTTP2(secure)
	config.Protocols.SetUnencryptedHTTP2(!secure)
	up := testkit.Upstream(t, config)
	c, err := h2.Dial(ctx, up.Addr(), client)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, up, ctx
}

func head(method, path string, more ...[2]string) [][2]string {
	return append([][2]string{{":method", method}, {":scheme", "http"}, {":authority", "up.example"}, {":path", path}}, more...)
}

func TestSendsAndReceives(t *testing.T) {
	for _, secure := range []bool{false, true} {
		c, up, ctx := dial(t, secure, upstream.Trailers(strings.Repeat("x", 200_000), "X-Sum", "1"))
		id, err := c.Open(false, head("POST", "/a", [2]string{"x-large", strings.Repeat("y", 40_000)})...)
		if err == nil {
			err = c.Data(id, []byte("hello"), false)
		}
		if err == nil {
			err = c.Trailers(id, [2]string{"x-end", "2"})
		}
		if err != nil {
			t.Fatal(err)
		}
		answer, err := c.Whole(ctx, id)
		if err != nil || answer.Status() != "200" || len(answer.Body) != 200_000 || len(answer.Trailers) != 1 || answer.Trailers[0].Value != "1" {
			t.Errorf("status %s, %d bytes, trailers %v, %v", answer.Status(), len(answer.Body), answer.Trailers, err)
		}
		seen, err := up.WaitRequest(ctx, 1)
		if err != nil || string(seen.Body) != "hello" || len(seen.Values("x-large")[0]) != 40_000 || seen.Trailers[0] != "x-end: 2" {
			t.Errorf("saw %d bytes, trailers %q, %v", seen.Length, seen.Trailers, err)
		}
		if _, ok := c.Setting(http2.SettingMaxConcurrentStreams); !ok {
			t.Error("no settings came")
		}
	}
}

func TestSendsWhatIsMalformed(t *testing.T) {
	c, _, ctx := dial(t, false, nil)
	id, err := c.Open(true, head("GET", "/", [2]string{"X-Upper", "1"})...)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := c.Whole(ctx, id); err != nil || answer.Reset == nil || *answer.Reset != http2.ErrCodeProtocol {
		t.Errorf("%+v, %v", answer, err)
	}
	if err := c.Frames(func(f *http2.Framer) error { return f.WriteWindowUpdate(0, 1<<31-1) }); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(ctx, func() bool { _, _, gone := c.GoAway(); return gone }); err != nil {
		t.Errorf("too large a window: %v", err)
	}
	if _, code, _ := c.GoAway(); code != http2.ErrCodeFlowControl {
		t.Errorf("code %v", code)
	}
}

func TestResets(t *testing.T) {
	c, up, ctx := dial(t, false, upstream.Delay(make(chan struct{}), nil))
	id, err := c.Open(true, head("GET", "/")...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.WaitRequest(ctx, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(id, http2.ErrCodeCancel); err != nil {
		t.Fatal(err)
	}
}

func TestStream(t *testing.T) {
	c, _, ctx := dial(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		controller := http.NewResponseController(w)
		piece := make([]byte, 100)
		for _ = controller.Flush(); ; _ = controller.Flush() {
			n, err := r.Body.Read(piece)
			_, _ = w.Write(piece[:n])
			if err != nil {
				return
			}
		}
	}))
	id, err := c.Open(false, head("POST", "/")...)
	if err != nil {
		t.Fatal(err)
	}
	stream := c.Stream(ctx, id)
	for _, word := range []string{"one", "two"} {
		_, err := io.WriteString(stream, word)
		back := make([]byte, 3)
		if err == nil {
			_, err = io.ReadFull(stream, back)
		}
		if err != nil || string(back) != word {
			t.Errorf("%q, %v", back, err)
		}
	}
	if err := stream.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(stream); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
}
