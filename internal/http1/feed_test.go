package http1

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// feeds calls f with the input as it may arrive: at once, byte by byte, split at every byte, and with the end of the
// connection told together with the last bytes.
func feeds(t *testing.T, input string, f func(t *testing.T, src io.Reader)) {
	t.Helper()
	run := func(how string, src io.Reader) {
		f(t, src)
		if t.Failed() {
			t.Fatalf("fed %s: %.300q", how, input)
		}
	}
	run("at once", strings.NewReader(input))
	run("byte by byte", iotest.OneByteReader(strings.NewReader(input)))
	run("end with data", iotest.DataErrReader(strings.NewReader(input)))
	step := 1 + len(input)/2000
	for i := 1; i < len(input); i += step {
		run(fmt.Sprintf("split at %d", i), io.MultiReader(strings.NewReader(input[:i]), strings.NewReader(input[i:])))
	}
}

func dumpHeader(s *strings.Builder, prefix string, h *exchange.Header) {
	for name, value := range h.All() {
		fmt.Fprintf(s, "%s%s=%s\n", prefix, name, value)
	}
}

func dumpBody(s *strings.Builder, r *Reader, body io.Reader, trailer *exchange.Header) {
	if body != nil {
		got, err := io.ReadAll(body)
		fmt.Fprintf(s, "body %q %v\n", got, err)
		dumpHeader(s, "~", trailer)
	}
	fmt.Fprintf(s, "keep=%v done=%v\n", r.KeepAlive(), r.Done())
}

// dumpRequests reads requests until none follows, and writes down what they were.
func dumpRequests(r *Reader) string {
	var s strings.Builder
	var req exchange.Request
	for {
		if err := r.ReadRequest(&req); err != nil {
			fmt.Fprintf(&s, "%v\n", err)
			return s.String()
		}
		fmt.Fprintf(&s, "%s %s|%s|%s|%s abs=%v %v length=%d\n",
			req.Method, req.Scheme, req.Authority, req.Path, req.Query, req.Absolute, req.Version, req.Length)
		dumpHeader(&s, "", &req.Header)
		dumpBody(&s, r, req.Body, &req.Trailer)
		if !r.Reusable() {
			fmt.Fprintf(&s, "rest %q\n", r.Buffered())
			return s.String()
		}
	}
}

func dumpResponse(r *Reader, method string) string {
	var s strings.Builder
	var res exchange.Response
	if err := r.ReadResponse(&res, method); err != nil {
		return err.Error() + "\n"
	}
	fmt.Fprintf(&s, "%d %q %v length=%d until close=%v\n", res.Status, res.Phrase, res.Version, res.Length, r.CloseDelimited())
	dumpHeader(&s, "", &res.Header)
	dumpBody(&s, r, res.Body, &res.Trailer)
	return s.String()
}

// wantError wants an *Error of the status that quotes nothing of the input's marker.
func wantError(t *testing.T, err error, status int) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("got %v, want an *Error with status %d", err, status)
		return
	}
	if e.Status != status {
		t.Errorf("got status %d (%s), want %d", e.Status, e.Text, status)
	}
	if strings.Contains(e.Text, marker) || e.Text == "" {
		t.Errorf("the text %q quotes the peer, or is empty", e.Text)
	}
}

// marker stands in inputs for what a peer sent and no error may repeat.
const marker = "s3cr3t"
