package dialect

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
)

// AppendError appends an event by which the provider's own SDKs raise an error, to end a stream that broke off. It may
// be sent at a Boundary alone, and the body must end after it. Status is that of the answer which would have been given had none
// begun, reason one word that programs tell apart, message a sentence for people.
func (s *Stream) AppendError(b []byte, status int, reason, message string) []byte {
	type object map[string]any
	switch s.dialect {
	case Chat:
		return appendData(b, "", object{"error": object{"message": message, "type": "server_error", "param": nil, "code": reason}})
	case Responses:
		said := object{"message": message, "type": "server_error", "param": nil, "code": reason} // openai-python raises this alone
		return appendData(b, "error", object{
			"type": "error", "code": reason, "message": message, "param": nil, "sequence_number": s.events, "error": said,
		})
	case Messages:
		return appendData(b, "error", object{"type": "error", "error": object{"type": anthropicType(status), "message": message}, "reason": reason})
	case Gemini:
		detail := object{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "ebbgate.dev"}
		said := object{"error": object{"code": status, "message": message, "status": googleStatus(status), "details": []object{detail}}}
		return append(append(appendData(b, "", said), encode(said)...), '\n') // for readers of events, and for Google's SDKs: see Finish
	case Converse, Invoke:
		kind, fields := bedrockException(status), object{"message": message}
		if kind == "modelStreamErrorException" {
			fields["originalStatusCode"], fields["originalMessage"] = status, reason
		}
		return appendException(b, kind, fields)
	}
	return b
}

// anthropicType is after https://platform.claude.com/docs/en/api/errors.
func anthropicType(status int) string {
	switch status {
	case 503, 529:
		return "overloaded_error"
	case 504:
		return "timeout_error"
	}
	return "api_error"
}

// googleStatus is google.rpc.Code by HTTP status: https://cloud.google.com/apis/design/errors.
func googleStatus(status int) string {
	switch status {
	case 503, 529:
		return "UNAVAILABLE"
	case 504:
		return "DEADLINE_EXCEEDED"
	}
	return "INTERNAL"
}

// bedrockException is one that both operations have as an event. The SDKs raise it by name.
func bedrockException(status int) string {
	switch status {
	case 500:
		return "internalServerException"
	case 503, 529:
		return "serviceUnavailableException"
	}
	return "modelStreamErrorException"
}

func appendData(b []byte, name string, payload any) []byte {
	if name != "" {
		b = append(append(append(b, "event: "...), name...), '\n')
	}
	return append(append(append(b, "data: "...), encode(payload)...), "\n\n"...)
}

func appendException(b []byte, kind string, payload any) []byte {
	start, body := len(b), encode(payload)
	b = append(b, make([]byte, preludeLength)...)
	for _, h := range [...][2]string{{":message-type", "exception"}, {":exception-type", kind}, {":content-type", "application/json"}} {
		b = append(append(b, byte(len(h[0]))), h[0]...)                    //nolint:gosec // the words above
		b = binary.BigEndian.AppendUint16(append(b, 7), uint16(len(h[1]))) //nolint:gosec // the words above
		b = append(b, h[1]...)
	}
	headers := len(b) - start - preludeLength
	b = append(b, body...)
	prelude := b[start : start+preludeLength]
	binary.BigEndian.PutUint32(prelude, uint32(len(b)-start+4)) //nolint:gosec // a sentence
	binary.BigEndian.PutUint32(prelude[4:], uint32(headers))    //nolint:gosec // the words above
	binary.BigEndian.PutUint32(prelude[8:], crc32.ChecksumIEEE(prelude[:8]))
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[start:]))
}

// encode is JSON in one line. Strings and numbers always encode; what is no UTF-8 becomes U+FFFD.
func encode(payload any) []byte {
	text, _ := json.Marshal(payload)
	return text
}
