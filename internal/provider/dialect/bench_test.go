package dialect

import (
	"strings"
	"testing"
)

// deltas are events as providers send by the thousand, the first of which was output already.
var deltas = map[Dialect]string{
	Chat: `data: {"id":"chatcmpl-123456789012345678901234","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-mini",` +
		`"service_tier":"default","system_fingerprint":"fp_1234567890","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],` +
		`"usage":null,"obfuscation":"abcdefgh"}` + "\n\n",
	Responses: "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_1234567890",` +
		`"output_index":0,"content_index":0,"delta":" word","logprobs":[],"obfuscation":"abcdefgh"}` + "\n\n",
	Messages: "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}` + "\n\n",
	Gemini: `data: {"candidates": [{"content": {"parts": [{"text": " word"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 10,` +
		`"candidatesTokenCount": 1,"totalTokenCount": 11},"modelVersion": "gemini-2.5-pro","responseId": "abcdefgh"}` + "\r\n\r\n",
	Converse: event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":" word"},"p":"abcdefghijklmnopqrstuvwxyz"}`),
	Invoke:   event("chunk", `{"bytes":"eyJ0eXBlIjoiY29udGVudF9ibG9ja19kZWx0YSIsImluZGV4IjowLCJkZWx0YSI6eyJ0eXBlIjoidGV4dF9kZWx0YSIsInRleHQiOiIgd29yZCJ9fQ=="}`),
}

func BenchmarkFeed(b *testing.B) {
	for d := Chat; d <= Invoke; d++ {
		b.Run(d.String(), func(b *testing.B) {
			event := []byte(deltas[d])
			var s Stream
			s.Reset(d)
			b.ReportAllocs()
			b.SetBytes(int64(len(event)))
			for b.Loop() {
				if n, e := s.Feed(event); n != len(event) || e != Output {
					b.Fatal(n, e)
				}
			}
		})
	}
}

func TestFeedAllocatesNothing(t *testing.T) {
	for d := Chat; d <= Invoke; d++ {
		for _, choices := range []uint64{1, 3} { // bits: with more than one, events are taken apart
			event := []byte(deltas[d])
			var s Stream
			feed := func() {
				s.output, s.seen = true, choices
				for _, p := range [][]byte{event, event[:50], event[50:]} {
					if _, e := s.Feed(p); e != Output && e != None {
						t.Fatal(d, e)
					}
				}
			}
			s.Reset(d)
			feed()
			if n := testing.AllocsPerRun(100, feed); n != 0 {
				t.Errorf("%s, choices %b: %v allocations", d, choices, n)
			}
		}
	}
}

func BenchmarkLongLinesOfCarriageReturns(b *testing.B) {
	in := []byte(strings.Repeat("\r", 64<<10))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		kinds(Chat, in, len(in))
	}
}
