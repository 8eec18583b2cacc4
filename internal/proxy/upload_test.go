package proxy

import (
	"bufio"
	"io"
	"net/http"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
)

// A far side that gives its stream up is seen at once, though the client has more of its body to send and takes its time.
func TestAStreamIsGivenUpWhileTheBodyWaits(t *testing.T) {
	f := func(kind upstream.HTTP2Kind, want int) {
		t.Helper()
		far := testkit.HTTP2Fault(t, upstream.HTTP2FaultConfig{Kind: kind})
		r := newRig(t, nil, h2c("far", far.Addr()))
		c := r.connect()
		defer c.Close()
		if _, err := io.WriteString(c, "POST /0 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("kind %d: %s", kind, res.Status)
		}
		r.seen.last(t)
	}
	f(upstream.RefuseStream, http.StatusBadGateway)
	f(upstream.ResetStream, http.StatusGatewayTimeout)
	f(upstream.HangUp, http.StatusGatewayTimeout)
	f(upstream.GoAwayBelow, http.StatusBadGateway)
}
