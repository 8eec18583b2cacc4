package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

// spareMax bounds the body of an answer that is kept while another backend is asked.
const spareMax = 16 << 10

// spare is the answer of a backend that rejected the request, kept for the client in case no other can be reached: it says
// more than that.
type spare struct {
	candidate *candidate
	response  exchange.Response
	body      []byte
}

// keepAnswer keeps the answer at hand, where it is small and all of it is there within a second.
func (j *journey) keepAnswer(c *candidate) {
	res := &j.x.Response
	if j.spare != nil || j.outcome.class != policy.Rejected || res.Status < http.StatusBadRequest {
		return
	}
	kept := &spare{candidate: c, response: exchange.Response{
		Version: res.Version, Status: res.Status, Phrase: strings.Clone(res.Phrase), Length: res.Length,
	}}
	if res.Body != nil {
		if res.Length > spareMax {
			return
		}
		j.watch.Arm(watch.FirstByteTimeout, rejectedTimeout)
		body, err := io.ReadAll(io.LimitReader(res.Body, spareMax+1))
		if err != nil || len(body) > spareMax {
			return
		}
		kept.body, kept.response.Length = bytes.Clone(body), int64(len(body))
	}
	kept.response.Header.Own(&res.Header)
	j.spare = kept
}

// fallBack answers with what was kept.
func (j *journey) fallBack() *exchange.Refusal {
	c, res := j.spare.candidate, &j.x.Response
	*res = j.spare.response
	j.x.Backend = c.backend.Name
	j.dress(c, &res.Header)
	j.discard()
	j.watch.Arm(watch.StreamIdleTimeout, answerTimeout)
	if err := j.conn.Begin(res, j.spare.body, true); err != nil {
		j.x.Aborted = "client"
	}
	return nil
}
