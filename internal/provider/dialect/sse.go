package dialect

import (
	"bytes"
	"encoding/json"
)

// line takes server-sent events up to the blank line that ends one (WHATWG HTML, section 9.2.6). Lines end with LF, CR
// or CRLF; the LF of a CRLF that is fed later belongs to the event before it.
func (s *Stream) line(p []byte) (int, Event) {
	start := 0
	if s.cr && p[0] == '\n' {
		start = 1
	}
	s.cr = false
	for i := start; i < len(p); {
		n := lineEnd(p[i:])
		if n < 0 {
			s.text, s.open = true, true
			break
		}
		blank := n == 0 && !s.text
		i += n + 1
		if p[i-1] == '\r' {
			if i == len(p) {
				s.cr = true
			} else if p[i] == '\n' {
				i++
			}
		}
		s.text, s.open = false, !blank
		if blank {
			return i, s.dispatch(p[start:i])
		}
	}
	s.keep(p[start:])
	return len(p), None
}

// lineEnd is the place of the first CR or LF, or -1. It looks at a piece at a time, so that a stream without the one of
// them is not searched to its end for every line.
func lineEnd(p []byte) int {
	const piece = 512
	for from := 0; from < len(p); from += piece {
		part := p[from:min(from+piece, len(p))]
		n := bytes.IndexByte(part, '\n')
		if n >= 0 {
			part = part[:n]
		}
		if r := bytes.IndexByte(part, '\r'); r >= 0 {
			return from + r
		}
		if n >= 0 {
			return from + n
		}
	}
	return -1
}

// dispatch reads an event whose last bytes are rest.
func (s *Stream) dispatch(rest []byte) Event {
	raw := rest
	if len(s.held) > 0 || len(rest) > maxEvent {
		s.keep(rest)
		raw = s.held
	}
	large := s.large
	s.large = false
	name, data, lines, odd := s.fields(raw)
	switch {
	case lines == 0 && !odd: // a comment, or what a browser would not dispatch either
		return Metadata
	case lines == 0:
		data = bytes.TrimSpace(raw)
	}
	s.events++
	if large {
		return s.oversize(name)
	}
	return s.read(name, data)
}

// Finish says, where the body has ended, what those bytes are that no event took: Error, or None.
//
// Google breaks a stream off with an error as it would answer in place of the stream, over several lines and without
// "data:", and nothing need follow it. Its SDKs look for that: googleapis/python-genai, _iter_response_stream;
// googleapis/js-genai, processStreamResponse; googleapis/go-genai, iterateResponseStream.
func (s *Stream) Finish() Event {
	if !s.open || s.large || s.dialect.framed() || s.dialect == Unknown {
		return None
	}
	_, _, lines, odd := s.fields(s.held)
	if lines > 0 || !odd || !json.Valid(s.held) || value(s.held).get("error").empty() {
		return None
	}
	s.done = true
	return Error
}

// fields are the event's name, and its data: lines joined by LF. Odd are lines with a field that nobody knows.
func (s *Stream) fields(raw []byte) (name, data []byte, lines int, odd bool) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff")) // legal at the start of the stream alone, and no event's start elsewhere
	for len(raw) > 0 {
		n := lineEnd(raw)
		if n < 0 {
			n = len(raw) // of an event that was too large to keep
		}
		field, value, _ := bytes.Cut(raw[:n], []byte(":"))
		raw = raw[min(n+1, len(raw)):]
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			name = value
		case "data":
			switch lines++; lines {
			case 1:
				data = value
			case 2:
				s.scratch = append(append(append(s.scratch[:0], data...), '\n'), value...)
				data = s.scratch
			default:
				s.scratch = append(append(s.scratch, '\n'), value...)
				data = s.scratch
			}
		case "", "id", "retry":
		default:
			odd = true
		}
	}
	return name, data, lines, odd
}

// read says what an event is. Until output was seen its data must be JSON throughout; after that it is only searched.
func (s *Stream) read(name []byte, data value) Event {
	switch {
	case string(name) == "error": // as Anthropic and the Responses API send, whatever the data
		return Error
	case string(bytes.TrimSpace(data)) == "[DONE]": // Chat's end, which some servers put after other dialects as well
		s.done = true
		return End
	case !s.output && !json.Valid(data):
		return Output
	}
	switch s.dialect {
	case Chat:
		return s.chat(data)
	case Gemini:
		return s.gemini(data)
	}
	kind := name
	if !s.output || len(name) == 0 {
		kind = data.get("type").text()
	}
	if s.dialect == Responses {
		return s.responses(kind, data)
	}
	return s.messages(kind, data)
}

// oversize says what an event is of which only the beginning is known: its name.
func (s *Stream) oversize(name []byte) Event {
	switch {
	case string(name) == "error":
		return Error
	case s.dialect == Responses: // response.completed repeats the whole answer
		switch e := s.responses(name, nil); {
		case e == End, e == Error && s.output:
			return e
		case e == Error:
			s.done = true
		}
	case s.dialect == Gemini: // a picture may come with the reason to finish, and no last event would say it again
		s.choice(0, true)
	}
	return Output
}
