package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// TestBuffersFitTheirMessages: a message gets a buffer as large as the one before it needed, so that what waits is small
// and what posts much reads it in one call.
func TestBuffersFitTheirMessages(t *testing.T) {
	message := func(head, body int) string {
		text := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %05d\r\nX: ", body)
		return text + strings.Repeat("x", head-len(text)-4) + "\r\n\r\n" + strings.Repeat("b", body)
	}
	source := &whole{}
	r := NewReader(source, Limits{})
	var req exchange.Request
	f := func(head, body, want int) {
		t.Helper()
		source.left = message(head, body)
		if err := r.ReadRequest(&req); err != nil {
			t.Fatal(err)
		}
		if len(r.buf) != want {
			t.Errorf("a head of %d with a body of %d is in a buffer of %d, want %d", head, body, len(r.buf), want)
		}
		if n, err := io.Copy(io.Discard, r.Body()); err != nil || n != int64(body) {
			t.Errorf("body of %d: %d, %v", body, n, err)
		}
		if !r.Release() {
			t.Error("not released")
		}
	}
	f(300, 0, smallSize)
	f(300, 8<<10, smallSize) // it does not know yet
	f(300, 8<<10, middleSize)
	f(300, 8<<10, bufferSize)
	f(300, 8<<10, bufferSize)
	f(300, 0, bufferSize)
	f(300, 0, smallSize)
	f(3<<10, 0, middleSize)
	f(3<<10, 0, middleSize)
	f(20<<10, 0, 24<<10)
	f(300, 0, bufferSize)
	f(300, 0, smallSize)
}

// whole gives what is left in as few reads as there is room for.
type whole struct{ left string }

func (w *whole) Read(p []byte) (int, error) {
	if w.left == "" {
		return 0, io.EOF
	}
	n := copy(p, w.left)
	w.left = w.left[n:]
	return n, nil
}
