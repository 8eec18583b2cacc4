package websocket

import (
	"bufio"
	"crypto/sha1" // section 4.2.2 asks for it
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const key = "dGhlIHNhbXBsZSBub25jZQ==" // section 1.3; a test needs no other

// accept is what proves that a server knows the protocol (section 4.2.2).
func accept(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Echo repeats every message, answers pings and close frames, and takes the first subprotocol that is offered. It speaks
// over HTTP/1.1, and over HTTP/2 where net/http's server allows extended CONNECT: with http2xconnect=1 in GODEBUG when the
// process starts.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect && r.Header.Get(":protocol") == "websocket":
			echoStream(w, r)
		case r.Method != http.MethodGet || !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") ||
			!strings.Contains(strings.ToLower(r.Header.Get("Connection")), "upgrade") ||
			r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Sec-WebSocket-Key") == "":
			w.Header().Set("Upgrade", "websocket")
			http.Error(w, "no WebSocket handshake", http.StatusUpgradeRequired)
		default:
			echoUpgraded(w, r)
		}
	})
}

// subprotocol is the header line that chooses the first of those offered; empty where none is.
func subprotocol(r *http.Request) string {
	first, _, _ := strings.Cut(r.Header.Get("Sec-WebSocket-Protocol"), ",")
	return strings.TrimSpace(first)
}

func echoUpgraded(w http.ResponseWriter, r *http.Request) {
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return // the client left
	}
	defer func() { _ = connection.Close() }()
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		accept(r.Header.Get("Sec-WebSocket-Key")) + "\r\n"
	if chosen := subprotocol(r); chosen != "" {
		head += "Sec-WebSocket-Protocol: " + chosen + "\r\n"
	}
	if _, err := io.WriteString(connection, head+"\r\n"); err == nil {
		echo(&Conn{reader: buffered.Reader, writer: connection})
	}
}

func echoStream(w http.ResponseWriter, r *http.Request) {
	if chosen := subprotocol(r); chosen != "" {
		w.Header().Set("Sec-WebSocket-Protocol", chosen)
	}
	w.WriteHeader(http.StatusOK)
	flusher := http.NewResponseController(w)
	if flusher.Flush() == nil {
		echo(&Conn{reader: bufio.NewReader(r.Body), writer: flushing{w, flusher}})
	}
}

type flushing struct {
	io.Writer
	flusher *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	if err == nil {
		err = f.flusher.Flush()
	}
	return n, err
}

// echo ends with the client, or at what is no WebSocket.
func echo(c *Conn) {
	for {
		op, payload, err := c.Read()
		switch {
		case err != nil:
			return
		case op == Ping:
			op = Pong
		case op == Pong:
			continue
		}
		if c.Write(op, payload) != nil || op == Close {
			return
		}
	}
}

// Dial does a client's handshake over an HTTP/1.1 connection. The target is a path, or absolute towards a proxy; fields
// are header lines beyond what the handshake needs. Where the answer is another than 101 it comes back with the error.
func Dial(stream io.ReadWriter, host, target string, fields ...string) (*Conn, *http.Response, error) {
	lines := append([]string{
		"GET " + target + " HTTP/1.1", "Host: " + host, "Upgrade: websocket", "Connection: Upgrade",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: " + key,
	}, fields...)
	if _, err := io.WriteString(stream, strings.Join(lines, "\r\n")+"\r\n\r\n"); err != nil {
		return nil, nil, fmt.Errorf("write handshake: %w", err)
	}
	reader := bufio.NewReader(stream)
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("read handshake: %w", err)
	}
	if got := response.Header.Get("Sec-WebSocket-Accept"); response.StatusCode != http.StatusSwitchingProtocols || got != accept(key) {
		return nil, response, fmt.Errorf("handshake: status %s, Sec-WebSocket-Accept %q", response.Status, got)
	}
	return &Conn{reader: reader, writer: stream, client: true}, response, nil
}
