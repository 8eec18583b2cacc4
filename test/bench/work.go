package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// work is one row of the table: a request that is repeated, and its answer.
type work struct {
	name   string // as -rows takes it
	title  string // as the table shows it
	method string
	body   int // bytes of the request's body
	answer int // bytes of the answer's body
}

func works() []work {
	return []work{
		{name: "get", title: "GET 1 KiB", method: "GET", answer: 1 << 10},
		{name: "post", title: "POST 8 KiB → 16 KiB", method: "POST", body: 8 << 10, answer: 16 << 10},
	}
}

func workNames() []string {
	var names []string
	for _, w := range works() {
		names = append(names, w.name)
	}
	return names
}

// path is what the request asks for.
func (w work) path() string { return "/v1/" + w.name + ".json" }

// script is the file that tells wrk what to send.
func (w work) script(scratch string) string { return filepath.Join(scratch, w.name+".lua") }

// publish writes the work's answer to where the upstream serves from, and wrk's script.
func (w work) publish(scratch string) error {
	const frame = `{"id":"","data":""}`
	answer := strings.Replace(frame, `"data":""`, `"data":"`+strings.Repeat("x", w.answer-len(frame))+`"`, 1)
	if err := os.WriteFile(filepath.Join(scratch, "www", w.path()), []byte(answer), 0o600); err != nil {
		return fmt.Errorf("write answer of row %s: %w", w.name, err)
	}
	return render("request.lua", w.script(scratch), struct {
		Method, Hostname string
		Body             int
	}{w.method, hostname, w.body})
}
