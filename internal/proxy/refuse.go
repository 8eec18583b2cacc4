package proxy

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/proxy/watch"
)

const (
	requestIDField = "Ebbgate-Request-Id"
	answerTimeout  = 30 * time.Second // for a client to take an answer of ours
	reasonDocs     = "https://ebbgate.dev/docs/reasons#"
)

// problem is a refusal as RFC 9457 has it, with an error object of the shape that AI SDKs parse.
type problem struct {
	Type    string        `json:"type"`
	Title   string        `json:"title"`
	Status  int           `json:"status"`
	Detail  string        `json:"detail"`
	Reason  string        `json:"reason"`
	Gateway string        `json:"gateway,omitempty"`
	Route   string        `json:"route,omitempty"`
	Policy  string        `json:"policy,omitempty"`
	Field   string        `json:"field,omitempty"`
	Request string        `json:"requestId"`
	Error   problemOfSDKs `json:"error"`
}

type problemOfSDKs struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Code    string  `json:"code"`
	Param   *string `json:"param"`
}

// refuse answers in the backend's place; where an answer has begun already, it is broken off for the client to see.
func (j *journey) refuse(refusal *exchange.Refusal) {
	x := j.x
	x.Refusal = refusal
	if j.conn.Begun() {
		x.Aborted = cmp.Or(x.Aborted, string(refusal.Reason))
		if !j.endGRPC(refusal) && !j.endStream(refusal) {
			j.conn.Abort()
		}
		return
	}
	if j.watch.Cause() != watch.None {
		j.conn.Last()
	}
	res := &x.Response
	trailer := res.Trailer
	res.Header.Reset()
	*res = exchange.Response{Status: refusal.Code(), Phrase: http.StatusText(refusal.Code()), Header: res.Header, Trailer: trailer}
	res.Header.Set(requestIDField, x.ID)
	body := j.render(res, refusal)
	res.Length = int64(len(body))
	if j.rule != nil && j.rule.cors != nil {
		j.rule.cors.Mark(&j.x.Request, &res.Header)
	}
	j.discard()
	if j.watch.Cause() == watch.None {
		j.watch.Arm(watch.StreamIdleTimeout, answerTimeout)
	}
	if err := j.conn.Begin(res, body, true); err != nil {
		x.Aborted = "client"
	}
}

// render writes the body and its type. gRPC clients get their status code in the head (gRPC over HTTP/2: Trailers-Only).
func (j *journey) render(res *exchange.Response, refusal *exchange.Refusal) []byte {
	if j.x.Request.GRPC() {
		res.Status, res.Phrase = http.StatusOK, "OK"
		res.Header.Set("Content-Type", "application/grpc")
		res.Header.Set("Grpc-Status", strconv.Itoa(grpcCode(refusal)))
		res.Header.Set("Grpc-Message", grpcMessage(refusal.Detail))
		return nil
	}
	res.Header.Set("Content-Type", "application/problem+json")
	body, err := json.Marshal(problem{
		Type: reasonDocs + string(refusal.Reason), Title: http.StatusText(refusal.Code()), Status: refusal.Code(),
		Detail: refusal.Detail, Reason: string(refusal.Reason),
		Gateway: j.x.Gateway, Route: j.x.Route, Policy: refusal.Policy, Field: refusal.Field, Request: j.x.ID,
		Error: problemOfSDKs{Message: refusal.Detail, Type: string(refusal.Reason), Code: string(refusal.Reason)},
	})
	if err != nil {
		return nil // strings and numbers always marshal
	}
	return append(body, '\n')
}

// discard drops a request body that nobody will read: what of it has come already in no time, else with the connection.
func (j *journey) discard() {
	if j.conn.Consumed() {
		return
	}
	if _, ok := j.conn.Held(); !ok {
		j.conn.Last()
	}
}
