package dialect

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// kinds feeds the input in parts of so many bytes and tells the events, and how it stood in the end.
func kinds(d Dialect, in []byte, part int) []string {
	var s Stream
	s.Reset(d)
	var list []string
	for len(in) > 0 {
		p := in[:min(part, len(in))]
		in = in[len(p):]
		for len(p) > 0 {
			n, e := s.Feed(p)
			if n <= 0 || n > len(p) || e == None && n != len(p) {
				return append(list, fmt.Sprintf("took %d of %d, %s", n, len(p), e))
			}
			if p = p[n:]; e != None {
				list = append(list, e.String())
			}
		}
	}
	return append(list, fmt.Sprint(s.Boundary(), s.Ended(), s.Finish()))
}

func fuzz(f *testing.F, dialects ...Dialect) {
	f.Fuzz(func(t *testing.T, in []byte, which uint8, part uint16) {
		d := dialects[int(which)%len(dialects)]
		want := kinds(d, in, len(in)+1)
		for _, size := range []int{1, int(part) + 1} {
			if got := kinds(d, in, size); !slices.Equal(got, want) {
				t.Errorf("%s, %d bytes at a time: %v\nat once: %v", d, size, got, want)
			}
		}
	})
}

func FuzzServerSentEvents(f *testing.F) {
	all := []Dialect{Chat, Responses, Messages, Gemini}
	for i := range all {
		for _, in := range []string{
			": ping\r\n\r\ndata: {\"choices\":[]}\r\n\r\ndata: [DONE]\r\n\r\n", "\ufeffdata:{}\r\rdata\n\n\r\n\r\n", "data: {\"choices\":\ndata:[{\"delta\":{\"content\":\"\"}}]}\n\n",
			strings.Join(data(`message_start| {"type":"message_start","message":{}}`, `error| {"error":{}}`, `{"candidates":[{"finishReason":"STOP"}]}`), ""),
			"{\n  \"error\": {}\n}\n", "data: {}\n\n{\"error\":[1]\r\n}",
			strings.Join(data(`{"type":"response.created","response":{"output":[ ]}}`, `{"type":"response.completed"}`), ""),
		} {
			f.Add([]byte(in), uint8(i), uint16(7))
		}
	}
	fuzz(f, all...)
}

func FuzzFrames(f *testing.F) {
	whole := event("messageStart", `{"role":"assistant"}`) + event("contentBlockDelta", `{"delta":{"text":"x"}}`) + event("messageStop", `{}`)
	f.Add([]byte(whole), uint8(0), uint16(11))
	f.Add([]byte(event("chunk", `{"bytes":"e30="}`)+exception("x", "{}")), uint8(1), uint16(12))
	f.Add([]byte(whole[:len(whole)-1]+"x"+whole), uint8(0), uint16(13))
	f.Add([]byte(framed([]byte{1, 'x', 7}, "{}")), uint8(0), uint16(1))
	fuzz(f, Converse, Invoke)
}

// FuzzHeaders reads what follows a prelude that is right, which chance does not find.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte("\x0d:message-type\x07\x00\x05event"), "{}")
	f.Add([]byte{1, 'x', 9}, "")
	f.Fuzz(func(t *testing.T, headers []byte, payload string) {
		in := framed(headers, payload)
		if got := kinds(Converse, []byte(in), len(in)); len(got) != 2 {
			t.Errorf("%v", got)
		}
	})
}

// FuzzSearch wants of a valid object the members that it has, and of anything else no failure.
func FuzzSearch(f *testing.F) {
	for _, in := range []string{`{"a":{"b":["\\\"",1e5,{}]},"c":null}`, `[1,[2],"]"]`, `{"a"`, `{"a":}`, `{,}`, `"\"`} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) { searchesAsDecoded(t, in) })
}
