package protocols_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/ebbgate/ebbgate/internal/testkit/h2"
	"github.com/ebbgate/ebbgate/internal/testkit/websocket"
)

// connect opens a connection to the gateway, over TLS with HTTP/1.1, or plain.
func (r *rig) connect(ctx context.Context, t *testing.T, secure bool) net.Conn {
	t.Helper()
	var c net.Conn
	var err error
	if secure {
		c, err = (&tls.Dialer{Config: r.tls("http/1.1")}).DialContext(ctx, "tcp", strings.TrimPrefix(r.secure, "https://"))
	} else {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(r.plain, "http://"))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) tls(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: r.authority.Pool(), ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12, NextProtos: protocols}
}

func TestWebSocket(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		f := func(name, host, target string, secure bool) {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c, answer, err := websocket.Dial(r.connect(ctx, t, secure), host, target, "Sec-WebSocket-Protocol: chat")
				if err != nil {
					t.Fatal(err)
				}
				if answer.Header.Get("Sec-WebSocket-Protocol") != "chat" || !strings.EqualFold(answer.Header.Get("Connection"), "upgrade") {
					t.Errorf("%v", answer.Header)
				}
				talk(t, c)
			})
		}
		f("plain", "gateway.test", "/web/ws", false)
		f("over TLS", "gateway.test", "/web/ws", true)
		if !r.straight {
			f("as a proxy", "web.test", "http://web.test/web/ws", false)
			f("to TLS", "gateway.test", "/one/ws", false)
			f("to either", "gateway.test", "/either/ws", false)
			f("to HTTP/2 in plain text", "gateway.test", "/clear/ws", false)
			f("to HTTP/2 over TLS", "gateway.test", "/two/ws", true)
		}
	})
}

// TestWebSocketOverHTTP2 is RFC 8441 between client and gateway.
func TestWebSocketOverHTTP2(t *testing.T) {
	r := serve(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, path := range map[string]string{"plain": "/web/ws", "tls": "/web/ws", "plain to HTTP/2": "/clear/ws", "tls to HTTP/2": "/two/ws"} {
		address := strings.TrimPrefix(r.plain, "http://")
		if strings.HasPrefix(name, "tls") {
			address = strings.TrimPrefix(r.secure, "https://")
		}
		var config *tls.Config
		if strings.HasPrefix(name, "tls") {
			config = r.tls()
		}
		connection, err := h2.Dial(ctx, address, config)
		check(t, err)
		defer func() { _ = connection.Close() }()
		check(t, connection.Wait(ctx, func() bool { // a client may not ask for it before it is offered (section 3)
			value, _ := connection.Setting(http2.SettingEnableConnectProtocol)
			return value == 1
		}))
		id, err := connection.Open(false, [2]string{":method", http.MethodConnect}, [2]string{":protocol", "websocket"}, [2]string{":scheme", "http"},
			[2]string{":authority", address}, [2]string{":path", path}, [2]string{"sec-websocket-version", "13"})
		check(t, err)
		talk(t, websocket.New(connection.Stream(ctx, id), true))
		if answer := connection.Answer(id); answer.Status() != "200" || answer.Value("sec-websocket-accept")+answer.Value("upgrade") != "" {
			t.Errorf("%s: %v", name, answer.Heads)
		}
	}
}

// talk holds a conversation and ends it.
func talk(t *testing.T, c *websocket.Conn) {
	t.Helper()
	ask := func(op websocket.Op, payload []byte, want websocket.Op) {
		t.Helper()
		check(t, c.Write(op, payload))
		if got, back, err := c.Read(); err != nil || got != want || !bytes.Equal(back, payload) {
			t.Fatalf("sent %d of %d bytes, got %d of %d: %v", op, len(payload), got, len(back), err)
		}
	}
	ask(websocket.Text, []byte("hello"), websocket.Text)
	ask(websocket.Binary, bytes.Repeat([]byte{1, 2, 3}, 10_000), websocket.Binary)
	ask(websocket.Ping, []byte("are you there?"), websocket.Pong)
	ask(websocket.Close, []byte{0x03, 0xe8}, websocket.Close)
	if _, _, err := c.Read(); err == nil {
		t.Error("something came after the end")
	}
}

// TestUpgrade: a protocol that nobody has heard of is carried as well, and its end is passed on.
func TestUpgrade(t *testing.T) {
	each(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c := r.connect(ctx, t, false)
		_, err := io.WriteString(c, "GET /web/upgrade HTTP/1.1\r\nHost: gateway.test\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst words") // sent with the head
		check(t, err)
		text := ""
		for !strings.HasSuffix(text, "first words") {
			var piece [1 << 10]byte
			n, err := c.Read(piece[:])
			if text += string(piece[:n]); err != nil {
				t.Fatalf("%q, %v", text, err)
			}
		}
		if !strings.HasPrefix(text, "HTTP/1.1 101 ") || !strings.Contains(strings.ToLower(text), "\r\nupgrade: echo\r\n") {
			t.Errorf("%q", text)
		}
		check(t, c.(*net.TCPConn).CloseWrite())
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("%q, %v", rest, err)
		}
	})
}
