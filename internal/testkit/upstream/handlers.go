package upstream

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

const maxEcho = 1 << 20 // bytes of a body that an echo repeats

// Echoed is Echo's answer.
type Echoed struct {
	Method string      `json:"method"`
	Target string      `json:"target"`
	Host   string      `json:"host"`
	Header http.Header `json:"header"`
	Body   string      `json:"body"`   // at most the first MiB
	Length int64       `json:"length"` // of the whole body
}

// Echo answers 200 with what it was asked, as an Echoed.
func Echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head, err := io.ReadAll(io.LimitReader(r.Body, maxEcho))
		if err != nil {
			return // the client left, and there is nobody to answer
		}
		rest, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Echoed{r.Method, r.RequestURI, r.Host, r.Header, string(head), int64(len(head)) + rest})
	})
}

// Body answers 200 with n bytes, of which the byte at i is Byte(i), and their Content-Length.
func Body(n int64) http.Handler {
	block := make([]byte, 32<<10/period*period)
	for i := range block {
		block[i] = Byte(int64(i))
	}
	return drained(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		for left := n; left > 0; {
			wrote, err := w.Write(block[:min(left, int64(len(block)))])
			if err != nil {
				return
			}
			left -= int64(wrote)
		}
	})
}

const period = 251 // a prime, so that a block lost or repeated shifts what follows

// Byte is the byte at place i of what Body sends.
func Byte(i int64) byte { return byte(i % period) }

// Status answers with the status, the header fields given as pairs of name and value, and a line of text.
func Status(code int, fields ...string) http.Handler {
	return drained(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, http.StatusText(code)+"\n") // refused for codes that have no body
	})
}

// Stream answers with n server-sent events "event i", each flushed by itself. Before each it waits for a value from the
// gate: a test that sends on an unbuffered one knows which event is under way; closing it lets all pass. nil does not wait.
func Stream(n int, gate <-chan struct{}) http.Handler {
	return drained(func(w http.ResponseWriter, r *http.Request) {
		flusher := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		if flusher.Flush() != nil {
			return
		}
		for i := range n {
			if !pass(r, gate) {
				return
			}
			if _, err := fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i); err != nil || flusher.Flush() != nil {
				return
			}
		}
	})
}

// Delay waits for a value from the gate, then lets the next handler answer.
func Delay(gate <-chan struct{}, next http.Handler) http.Handler {
	return drained(func(w http.ResponseWriter, r *http.Request) {
		if pass(r, gate) {
			next.ServeHTTP(w, r)
		}
	})
}

// pass is false when the client left before the gate opened.
func pass(r *http.Request, gate <-chan struct{}) bool {
	if gate == nil {
		return true
	}
	select {
	case <-gate:
		return true
	case <-r.Context().Done():
		return false
	}
}

// drained reads the request's body first: net/http notices that a client left only when no body is outstanding.
func drained(answer http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			answer(w, r)
		}
	})
}
