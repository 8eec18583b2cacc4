package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// kind is what a row measures, and with what.
type kind int

const (
	requests kind = iota // requests over HTTP/1.1, by wrk
	calls                // requests over HTTP/2, by h2load
	events               // many answers that never pause for long, by this program
	idle                 // many answers that have paused: the memory that they take
)

// entry is how clients reach a proxy.
type entry int

const (
	clear  entry = iota // HTTP/1.1 in clear text
	secure              // TLS, and HTTP/2 by ALPN
	prior               // HTTP/2 in clear text, by prior knowledge
	entries
)

// work is one row of the tables: a request that is repeated, or kept waiting, and its answer.
type work struct {
	name   string // as -rows takes it
	title  string // as the table shows it
	kind   kind
	entry  entry
	method string
	host   string
	path   string
	body   int    // bytes of the request's body
	answer int    // bytes of the answer's body
	asks   string // path under which the upstream tells what it saw
	saw    string // how it must have been reached: version, and "r" for a TLS session that was resumed
}

func works(streams int) []work {
	return []work{
		{name: "get", title: "GET 1 KiB", method: "GET", host: hostname, path: "/v1/get.json", answer: 1 << 10, asks: "/v1/seen", saw: "HTTP/1.1"},
		{name: "post", title: "POST 8 KiB → 16 KiB", method: "POST", host: hostname, path: "/v1/post.json", body: 8 << 10, answer: 16 << 10, asks: "/v1/seen", saw: "HTTP/1.1"},
		{name: "h2", title: "GET 1 KiB, HTTP/2 over TLS in", kind: calls, entry: secure, method: "GET", host: hostname, path: "/v1/h2.json", answer: 1 << 10, asks: "/v1/seen", saw: "HTTP/1.1"},
		{name: "grpc", title: "gRPC unary, 128 B → 128 B", kind: calls, entry: prior, method: "POST", host: callHost, path: "/bench.Echo/Unary", body: 128, answer: 128, asks: "/bench.Echo/Seen", saw: "HTTP/2.0"},
		{name: "new", title: "GET 1 KiB, new TLS connection each", method: "GET", host: hostname, path: "/new/get.json", answer: 1 << 10, asks: "/new/seen", saw: "HTTP/1.1 r"},
		{name: "sse", title: fmt.Sprintf("%d streams of %d events/s", streams, time.Second/period), kind: events, method: "GET", host: hostname, path: "/events/live", asks: "/v1/seen", saw: "HTTP/1.1"},
		{name: "idle", title: fmt.Sprintf("%d idle streams", idleTimes*streams), kind: idle, method: "GET", host: hostname, path: "/events/idle", asks: "/v1/seen", saw: "HTTP/1.1"},
	}
}

func workNames() []string {
	var names []string
	for _, w := range works(0) {
		names = append(names, w.name)
	}
	return names
}

// streams reports whether the row is about answers that stay open.
func (w work) streams() bool { return w.kind == events || w.kind == idle }

// grpc reports whether the row's messages are gRPC's.
func (w work) grpc() bool { return w.host == callHost }

// field is a header field.
type field struct{ Name, Value string }

// fields are what a client's library sends, with a credential that no proxy may let through.
func (w work) fields() []field {
	if w.grpc() {
		return []field{
			{"Content-Type", "application/grpc"}, {"Te", "trailers"}, {"User-Agent", "grpc-go/1.65.0"},
			{"Authorization", "Bearer placeholder"}, {"Grpc-Accept-Encoding", "gzip"},
		}
	}
	list := []field{
		{"Accept", "application/json"}, {"User-Agent", "OpenAI/Python 1.40.0"}, {"Authorization", "Bearer placeholder"},
		{"X-Stainless-Lang", "python"}, {"X-Stainless-Package-Version", "1.40.0"}, {"X-Stainless-OS", "Linux"}, {"X-Stainless-Runtime", "CPython"},
	}
	if w.body > 0 {
		list = append(list, field{"Content-Type", "application/json"})
	}
	return list
}

// payload is the request's body.
func (w work) payload() []byte {
	if w.grpc() {
		return message(w.body)
	}
	return bytes.Repeat([]byte("x"), w.body)
}

// reply is the answer's body.
func (w work) reply() []byte {
	if w.grpc() {
		return message(w.answer)
	}
	const frame = `{"id":"","data":""}`
	return []byte(strings.Replace(frame, `"data":""`, `"data":"`+strings.Repeat("x", w.answer-len(frame))+`"`, 1))
}

// message is one message as gRPC frames it, of so many bytes with its prefix.
func message(size int) []byte {
	const prefix = 5 // not compressed; length
	m := bytes.Repeat([]byte("x"), size)
	m[0] = 0
	binary.BigEndian.PutUint32(m[1:prefix], uint32(size-prefix)) //nolint:gosec // a size of this package's own
	return m
}

// script is the file that tells wrk what to send; upload is the one that has the body for h2load.
func (w work) script(scratch string) string { return filepath.Join(scratch, w.name+".lua") }
func (w work) upload(scratch string) string { return filepath.Join(scratch, w.name+".body") }

// publish writes the work's answer to where the upstream serves from, and what the load generator sends.
func (w work) publish(scratch string) error {
	if w.streams() {
		return nil
	}
	file := filepath.Join(scratch, "www", filepath.FromSlash(w.path))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make folder of answers: %w", err)
	}
	if err := os.WriteFile(file, w.reply(), 0o600); err != nil {
		return fmt.Errorf("write answer of row %s: %w", w.name, err)
	}
	if err := os.WriteFile(w.upload(scratch), w.payload(), 0o600); err != nil {
		return fmt.Errorf("write request of row %s: %w", w.name, err)
	}
	return render("request.lua", w.script(scratch), struct {
		Method, Hostname string
		Body             int
		Fields           []field
	}{w.method, w.host, w.body, w.fields()})
}
