package spec_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// send asks once, for rows that count answers.
func (w *world) send(t *testing.T, c *client, line string) (status, body string) {
	t.Helper()
	res, text := w.exchange(t, c, parse(t, line))
	return strconv.Itoa(res.StatusCode), text
}

// exchange asks once and reads the answer.
func (w *world) exchange(t *testing.T, c *client, a *ask) (*http.Response, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := c.transport.RoundTrip(w.request(ctx, t, c.scheme, a))
	if err != nil {
		t.Fatalf("%s: %v", a.text, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s: %v", a.text, err)
	}
	return res, string(body)
}

// converse opens a WebSocket over HTTP/1.1 and has a message of text and one of bytes repeated. Over
// HTTP/2 net/http's server switches protocols only if the process was started for it, as the command is and this is not.
func (w *world) converse(t *testing.T, row string, fields ...string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprint("127.0.0.1:", w.ports["http"]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	socket, _, err := websocket.Dial(conn, "spec.test", "/ws", fields...)
	if err != nil {
		t.Errorf("%s: %v", row, err)
		return
	}
	f := func(op websocket.Op, message string) {
		t.Helper()
		if err := socket.Write(op, []byte(message)); err != nil {
			t.Errorf("%s: %v", row, err)
		}
		if got, heard, err := socket.Read(); err != nil || got != op || string(heard) != message {
			t.Errorf("%s: heard %d %q, %v", row, got, heard, err)
		}
	}
	f(websocket.Text, "text")
	f(websocket.Binary, "\x01\x02\x00\xff")
}
