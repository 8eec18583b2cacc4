package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

func TestAppendError(t *testing.T) {
	const message = "no event for \"300s\"\r\n\r\ndata: [DONE]\xff"
	f := func(d Dialect, status int, before string, want string) {
		t.Helper()
		var s Stream
		s.Reset(d)
		s.Feed([]byte(before))
		got := s.AppendError([]byte("kept"), status, "stream_idle", message)
		got, ok := bytes.CutPrefix(got, []byte("kept"))
		if !ok {
			t.Fatalf("%s: %q", d, got)
		}
		n, e := s.Feed(got)
		if d == Gemini {
			if m, again := s.Feed(got[n:]); n+m != len(got) || again != None || s.Finish() != Error {
				t.Errorf("%s: %q", d, got[n:])
			}
		} else if n != len(got) || !s.Boundary() || s.Finish() != None {
			t.Errorf("%s: %d of %d bytes, boundary %t", d, n, len(got), s.Boundary())
		}
		if e != Error || !s.Ended() {
			t.Errorf("%s: %d of %d bytes, %s, boundary %t, ended %t: %q", d, n, len(got), e, s.Boundary(), s.Ended(), got)
		}
		const text = `no event for \"300s\"\r\n\r\ndata: [DONE]\ufffd`
		if want = strings.ReplaceAll(want, "MESSAGE", text); d.framed() {
			got = got[bytes.IndexByte(got, '{') : len(got)-4]
		}
		if string(got) != want {
			t.Errorf("%s:\n%s\nwant\n%s", d, got, want)
		}
	}
	f(Chat, 504, `data: {"choices":[{"delta":{"content":"x"}}]}`+"\n\n",
		`data: {"error":{"code":"stream_idle","message":"MESSAGE","param":null,"type":"server_error"}}`+"\n\n")
	f(Responses, 504, `data: {"type":"response.created"}`+"\n\n",
		"event: error\n"+`data: {"code":"stream_idle","error":{"code":"stream_idle","message":"MESSAGE","param":null,"type":"server_error"},`+
			`"message":"MESSAGE","param":null,"sequence_number":1,"type":"error"}`+"\n\n")
	f(Messages, 503, "", "event: error\n"+`data: {"error":{"message":"MESSAGE","type":"overloaded_error"},"reason":"stream_idle","type":"error"}`+"\n\n")
	f(Messages, 504, "", "event: error\n"+`data: {"error":{"message":"MESSAGE","type":"timeout_error"},"reason":"stream_idle","type":"error"}`+"\n\n")
	f(Messages, 502, "", "event: error\n"+`data: {"error":{"message":"MESSAGE","type":"api_error"},"reason":"stream_idle","type":"error"}`+"\n\n")
	const google = `{"error":{"code":504,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"ebbgate.dev",` +
		`"reason":"stream_idle"}],"message":"MESSAGE","status":"DEADLINE_EXCEEDED"}}`
	for status, word := range map[int]string{503: "UNAVAILABLE", 529: "UNAVAILABLE", 502: "INTERNAL"} {
		other := strings.NewReplacer("504", strconv.Itoa(status), "DEADLINE_EXCEEDED", word).Replace(google)
		f(Gemini, status, "", "data: "+other+"\n\n"+other+"\n")
	}
	f(Gemini, 504, "", "data: "+google+"\n\n"+google+"\n")
	f(Converse, 504, "", `{"message":"MESSAGE","originalMessage":"stream_idle","originalStatusCode":504}`)
	f(Converse, 503, "", `{"message":"MESSAGE"}`)
	f(Invoke, 500, "", `{"message":"MESSAGE"}`)

	var s Stream
	if got := s.AppendError(nil, 502, "x", "y"); len(got) != 0 {
		t.Errorf("unknown: %q", got)
	}
	s.Reset(Converse)
	if got := s.AppendError(nil, 502, "x", "y"); !bytes.Equal(got, []byte(exceptionLike("modelStreamErrorException", `{"message":"y","originalMessage":"x","originalStatusCode":502}`))) {
		t.Errorf("%q", got)
	}
	s.Reset(Responses)
	if got := s.AppendError(nil, 502, "x", "y"); !json.Valid(bytes.TrimPrefix(got, []byte("event: error\ndata: "))) {
		t.Errorf("%q", got)
	}
}

func exceptionLike(kind, payload string) string {
	return frame(payload, ":message-type", "exception", ":exception-type", kind, ":content-type", "application/json")
}
