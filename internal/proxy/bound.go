package proxy

import (
	"cmp"
	"errors"
	"io"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// bodyMost bounds bodies of which no policy says how large they may be.
const bodyMost = 32 << 20

// boundBody refuses a body that is too large, or has one that states no length end there.
func (j *journey) boundBody() *exchange.Refusal {
	r := &j.x.Request
	if r.Body == nil {
		return nil
	}
	if r.Limit.Bytes == 0 {
		if streamsForEver(r) {
			return nil
		}
		r.Limit.Bytes = cmp.Or(j.server.config.bodyMost, bodyMost)
	}
	if r.Length > r.Limit.Bytes {
		return exchange.TooLarge(r.Limit)
	}
	if r.Length < 0 {
		r.Body = &bounded{src: r.Body, left: r.Limit.Bytes}
	}
	return nil
}

// streamsForEver reports whether a request is a call of gRPC, which may go on for as long as it likes.
func streamsForEver(r *exchange.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// bounded is a body that must end within its limit. What comes beyond goes nowhere.
type bounded struct {
	src  io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errOverLimit
	}
	n, err := b.src.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errOverLimit
	}
	return n, err
}

var errOverLimit = errors.New("request body: over its limit")
