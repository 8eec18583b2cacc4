package proxy

import (
	"net/http"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/provider/dialect"
)

// await keeps a provider's stream from the client until it has begun to put out: one that opens with an error has not done
// the work, and is Rejected. Other answers are not held.
func (j *journey) await(a *exchange.Attempt) *exchange.Refusal {
	res := &j.x.Response
	if res.Status != http.StatusOK || res.Body == nil || j.x.Mirrored {
		return nil
	}
	d := dialect.Of(j.x.Request.Method, a.Path, res.Header.Get("Content-Type"), res.Header.Get("Content-Encoding"))
	if d == dialect.Unknown {
		return nil
	}
	first, err := j.call.Hold(d)
	if err != nil {
		refusal := j.failed(err, a)
		j.reuse = false
		j.call.Finish()
		return refusal
	}
	if first == dialect.Error {
		j.outcome.class = policy.Rejected
	}
	return nil
}

// endStream ends a provider's stream that has begun with an error event that its client's SDK knows, where it can.
func (j *journey) endStream(refusal *exchange.Refusal) bool {
	return j.call.Fail(refusal.Code(), string(refusal.Reason), refusal.Detail)
}
