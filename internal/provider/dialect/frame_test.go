package dialect

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strings"
	"testing"
)

// frame is one with these headers, whose values are strings, and a payload.
func frame(payload string, headers ...string) string {
	var list []byte
	for i := 0; i < len(headers); i += 2 {
		list = append(append(list, byte(len(headers[i]))), headers[i]...)
		list = append(binary.BigEndian.AppendUint16(append(list, 7), uint16(len(headers[i+1]))), headers[i+1]...)
	}
	return framed(list, payload)
}

func framed(headers []byte, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(headers)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, headers...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

func event(kind, payload string) string {
	return frame(payload, ":event-type", kind, ":content-type", "application/json", ":message-type", "event")
}

func exception(kind, payload string) string {
	return frame(payload, ":exception-type", kind, ":content-type", "application/json", ":message-type", "exception")
}

func TestConverse(t *testing.T) {
	f := func(want string, events ...string) {
		t.Helper()
		if got := reading(t, Converse, events...); got != want {
			t.Errorf("%s, want %s: %q", got, want, events)
		}
	}
	start := event("messageStart", `{"p":"abcd","role":"assistant"}`)
	word := event("contentBlockDelta", `{"contentBlockIndex":0,"delta":{"text":"Hi"}}`)
	ended := event("contentBlockStop", `{"contentBlockIndex":0}`)
	stop := event("messageStop", `{"stopReason":"end_turn"}`)
	usage := event("metadata", `{"usage":{"inputTokens":1},"metrics":{"latencyMs":7}}`)
	f("moomEm.", start, word, word, ended, stop, usage)
	f("mE.", start, stop)
	f("mo", start, word)
	f("mo", start, event("contentBlockStart", `{"start":{"toolUse":{"toolUseId":"t","name":"f"}},"contentBlockIndex":0}`))
	f("mm", start, event("contentBlockStart", `{"start":{},"contentBlockIndex":0}`))
	f("mm", start, event("contentBlockDelta", `{"delta":{"text":""},"contentBlockIndex":0}`))
	f("mo", start, event("contentBlockDelta", `{"delta":{"reasoningContent":{"signature":"x"}}}`))
	f("me.", start, exception("throttlingException", `{"message":"x"}`))
	f("moe.", start, word, exception("modelStreamErrorException", `{"message":"x"}`))
	f("e.", frame("", ":message-type", "error", ":error-code", "500", ":error-message", "x"))
	f("o", event("somethingNew", `{}`))
	f("o", event("messageStart", `{`))
	f("o", frame("{}"))
	f("o", frame("{}", ":message-type", "event"))
	f("o", framed([]byte{200, 'x'}, "{}"))
	f("o", framed([]byte{1, 'x', 10}, "{}"))
	f("o", framed([]byte{1, 'x', 7, 0}, "{}"))
	f("o", framed([]byte{1, 'x', 7, 0, 9, 'y'}, "{}"))
	headers := []byte{1, 'a', 0, 1, 'b', 1, 1, 'c', 2, 0, 1, 'd', 3, 0, 0, 1, 'e', 4, 0, 0, 0, 0, 1, 'f', 6, 0, 1, 0, 1, 'g', 8, 0, 0, 0, 0, 0, 0, 0, 0}
	headers = append(headers, 13, ':')
	headers = append(append(headers, "message-type"...), 7, 0, 9)
	f("e.", framed(append(headers, "exception"...), "{}")) // among values of every type
	f("om", event("contentBlockDelta", strings.Repeat(" ", 2*maxEvent)), start)
}

func TestInvoke(t *testing.T) {
	f := func(want string, payloads ...string) {
		t.Helper()
		var events []string
		for _, payload := range payloads {
			events = append(events, event("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(payload))+`","p":"abc"}`))
		}
		if got := reading(t, Invoke, events...); got != want {
			t.Errorf("%s, want %s: %q", got, want, payloads)
		}
	}
	f("moE.", `{"type":"message_start","message":{"content":[]}}`, `{"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}`,
		`{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":1}}`)
	f("oo.", `{"generation":"Hi","stop_reason":null}`, `{"generation":"","stop_reason":"stop","amazon-bedrock-invocationMetrics":{}}`)
	f("o", `{"type":`)
	f("e.", `{"type":"error","error":{"type":"overloaded_error"}}`)
	if got := reading(t, Invoke, event("chunk", `{"bytes":"%"}`), event("other", `{}`), exception("x", `{}`)); got != "ooe." {
		t.Error(got)
	}
}

func TestLargeFramesInParts(t *testing.T) {
	in := []byte(event("contentBlockDelta", strings.Repeat(" ", 2*maxEvent)) + event("messageStop", "{}"))
	for _, part := range []int{1000, maxEvent, len(in)} {
		if got := strings.Join(kinds(Converse, in, part), ","); got != "output,end,true true none" {
			t.Errorf("%d bytes at a time: %s", part, got)
		}
	}
}

func TestBrokenFramesAreOutputAndNoBoundary(t *testing.T) {
	whole := event("messageStart", `{"role":"assistant"}`)
	f := func(name string, change func([]byte)) {
		t.Helper()
		b := []byte(whole + whole)
		change(b)
		var s Stream
		s.Reset(Converse)
		if n, e := s.Feed(b); n != len(b) || e != Output || s.Boundary() || s.Ended() {
			t.Errorf("%s: %d, %s, boundary %t, ended %t", name, n, e, s.Boundary(), s.Ended())
		}
		if n, e := s.Feed([]byte(whole)); n != len(whole) || e != None || s.Boundary() {
			t.Errorf("after %s: %d, %s, boundary %t", name, n, e, s.Boundary())
		}
	}
	seal := func(b []byte) { binary.BigEndian.PutUint32(b[8:], crc32.ChecksumIEEE(b[:8])) }
	f("length", func(b []byte) { b[3]++ })
	f("prelude's sum", func(b []byte) { b[8]++ })
	f("header", func(b []byte) { b[14]++ })
	f("payload", func(b []byte) { b[len(whole)-5]++ })
	f("sum", func(b []byte) { b[len(whole)-1]++ })
	f("too short", func(b []byte) { binary.BigEndian.PutUint32(b, 15); seal(b) })
	f("headers beyond the end", func(b []byte) { b[4] = 1; seal(b) })
	f("too long", func(b []byte) { b[0] = 0xff; seal(b) })
}
