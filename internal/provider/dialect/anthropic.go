package dialect

// messages reads an event of Anthropic's Messages API.
// https://platform.claude.com/docs/en/build-with-claude/streaming: events, pings, errors, and that new kinds of events
// may come at any time.
func (s *Stream) messages(kind []byte, data value) Event {
	switch string(kind) {
	case "message_start":
		s.begun = true
		if data.get("message").get("content").empty() {
			return Metadata
		}
	case "content_block_start": // of text or thinking; a tool call has a name
		if !s.output && data.get("content_block").only("type") {
			return Metadata
		}
	case "content_block_delta":
		if !s.output && data.get("delta").only("type") {
			return Metadata
		}
	case "message_delta": // with the reason to stop the answer is made, and nobody should make it again
		if !s.output && data.get("delta").only() {
			return Metadata
		}
	case "ping", "content_block_stop":
		return Metadata
	case "message_stop":
		s.done = true
		return End
	case "error":
		return Error
	case "": // Vertex AI speaks of its own failures as Google does
		if !data.get("error").empty() {
			return Error
		}
	}
	return Output
}
