package websocket_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/h2"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func connect(ctx context.Context, t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// talk holds a conversation and ends it.
func talk(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ask := func(op websocket.Op, payload []byte, want websocket.Op) {
		t.Helper()
		err := c.Write(op, payload)
		if err != nil {
			t.Fatal(err)
		}
		if got, back, err := c.Read(); err != nil || got != want || !bytes.Equal(back, payload) {
			t.Fatalf("sent %d of %d bytes, got %d of %d: %v", op, len(payload), got, len(back), err)
		}
	}
	ask(websocket.Text, []byte("hello"), websocket.Text)
	ask(websocket.Binary, nil, websocket.Binary)
	ask(websocket.Binary, bytes.Repeat([]byte{1, 2, 3}, 100), websocket.Binary)
	ask(websocket.Binary, bytes.Repeat([]byte{1, 2, 3}, 20_000), websocket.Binary)
	ask(websocket.Ping, []byte("are you there?"), websocket.Pong)
	if err := c.WriteFrame(websocket.Text, []byte("one, "), false); err != nil {
		t.Fatal(err)
	}
	ask(websocket.Ping, []byte("between"), websocket.Pong)
	if err := c.WriteFrame(0, []byte("two"), true); err != nil {
		t.Fatal(err)
	}
	if op, back, err := c.Read(); err != nil || op != websocket.Text || string(back) != "one, two" {
		t.Fatalf("%d %q, %v", op, back, err)
	}
	ask(websocket.Close, []byte{0x03, 0xe8}, websocket.Close)
	if _, _, err := c.Read(); err == nil {
		t.Error("something came after the end")
	}
}

func TestUpgraded(t *testing.T) {
	ctx, up := patience(t), testkit.Upstream(t, upstream.Config{Handler: websocket.Echo()})
	c, answer, err := websocket.Dial(connect(ctx, t, up.Addr()), "up.example", "/chat", "Sec-WebSocket-Protocol: one, two")
	if err != nil || answer.Header.Get("Sec-WebSocket-Protocol") != "one" {
		t.Fatalf("%v, %v", answer, err)
	}
	talk(t, c)
}

func TestRefusesWhatIsNoHandshake(t *testing.T) {
	ctx, up := patience(t), testkit.Upstream(t, upstream.Config{Handler: websocket.Echo()})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, up.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUpgradeRequired {
		t.Error(response.Status)
	}
}

// TestStream runs itself again, because net/http looks at GODEBUG when the process starts.
func TestStream(t *testing.T) {
	const setting = "http2xconnect=1"
	if os.Getenv("GODEBUG") != setting {
		again := exec.CommandContext(patience(t), os.Args[0], "-test.run=^TestStream$", "-test.v")
		again.Env = append(os.Environ(), "GODEBUG="+setting)
		if out, err := again.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestStream")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	ctx := patience(t)
	config := upstream.Config{Handler: websocket.Echo()}
	config.Protocols.SetUnencryptedHTTP2(true)
	up := testkit.Upstream(t, config)
	connection, err := h2.Dial(ctx, up.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	id, err := connection.Open(false, [2]string{":method", "CONNECT"}, [2]string{":protocol", "websocket"}, [2]string{":scheme", "http"},
		[2]string{":authority", "up.example"}, [2]string{":path", "/chat"}, [2]string{"sec-websocket-version", "13"})
	if err != nil {
		t.Fatal(err)
	}
	talk(t, websocket.New(connection.Stream(ctx, id), true))
	if answer := connection.Answer(id); answer.Status() != "200" || !answer.Ended {
		t.Errorf("status %s, ended %t", answer.Status(), answer.Ended)
	}
	if seen := up.Requests()[0]; seen.Protocol != "websocket" || seen.Method != "CONNECT" || seen.Target != "/chat" {
		t.Errorf("%+v", seen)
	}
}
