package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// dialect is what differs between the providers around an endpoint.
type dialect struct {
	route   func(method, path string) (endpoint, error) // path is escaped
	keys    func(http.Header) []string                  // every key presented
	explain func(f *failure, id string) any             // an error's body
	failed  string                                      // the name of an error event
	label   func(http.Header, *failure)                 // fields of an error; may be nil
}

// endpoint answers a request, or returns a failure before it has written anything.
type endpoint func(*call) error

// failure is a refusal, before a dialect gives it its shape.
type failure struct {
	status  int
	kind    string
	code    string
	param   string
	message string

	retryAfter string
}

func (f *failure) Error() string { return f.message }

func invalid(param, format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: "invalid_request_error", param: param, message: fmt.Sprintf(format, args...)}
}

func missing(param string) *failure {
	f := invalid(param, "Missing required parameter: '%s'.", param)
	f.code = "missing_required_parameter"
	return f
}

func notFound(method, path string) *failure {
	return &failure{status: http.StatusNotFound, kind: "not_found_error", message: fmt.Sprintf("Invalid URL (%s %s)", method, path)}
}

func notAllowed(method, path string) *failure {
	return &failure{status: http.StatusMethodNotAllowed, kind: "invalid_request_error", message: fmt.Sprintf("Not allowed to %s on %s.", method, path)}
}

// call is one request on its way through an endpoint.
type call struct {
	provider *Provider
	w        http.ResponseWriter
	r        *http.Request
	id       string
	body     []byte
	fault    Fault
	executed bool
}

// decode reads the body as JSON. Fields that are not emulated are the SDKs' business and are passed over.
func (c *call) decode(into any) error {
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return &failure{
			status: http.StatusUnsupportedMediaType, kind: "invalid_request_error", code: "unsupported_content_type",
			message: "Unsupported content type. This API method only accepts 'application/json' requests.",
		}
	}
	if err := json.Unmarshal(c.body, into); err != nil {
		return invalid("", "We could not parse the JSON body of your request.")
	}
	return nil
}

// model checks the name a request gives.
func (c *call) model(name string) error {
	switch {
	case name == "":
		return missing("model")
	case !c.provider.knows(name):
		return &failure{
			status: http.StatusNotFound, kind: "not_found_error", code: "model_not_found", param: "model",
			message: fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", name),
		}
	}
	return nil
}

func (c *call) json(status int, payload any) {
	body, err := encode(payload)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(status)
	c.write(body)
}

// stream sends events, each flushed by itself.
type stream struct {
	call    *call
	flusher *http.ResponseController
	frame   func(event string, data []byte) []byte
	fail    func(*failure) // sends an error event
	lost    bool           // the client left, or the stream is to go wrong; nothing more is sent
}

// stream answers with server-sent events.
func (c *call) stream(lineEnd string) *stream {
	return c.open("text/event-stream; charset=utf-8", func(event string, data []byte) []byte {
		text := "data: " + string(data) + lineEnd + lineEnd
		if event != "" {
			text = "event: " + event + lineEnd + text
		}
		return []byte(text)
	})
}

func (c *call) open(contentType string, frame func(event string, data []byte) []byte) *stream {
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	s := &stream{call: c, flusher: http.NewResponseController(c.w), frame: frame}
	s.fail = func(f *failure) { s.send(c.provider.dialect.failed, c.provider.dialect.explain(f, c.id)) }
	return s
}

// send writes one event; the name may be empty.
func (s *stream) send(event string, payload any) {
	data, err := encode(payload)
	if err != nil {
		s.lose()
		return
	}
	s.write(event, bytes.TrimSpace(data))
}

func (s *stream) write(event string, data []byte) {
	if s.lost {
		return
	}
	if _, err := s.call.w.Write(s.frame(event, data)); err != nil || s.flusher.Flush() != nil {
		s.lose()
	}
}

// words sends an answer word by word at the configured pace.
func (s *stream) words(pieces []string, send func(piece string)) {
	_ = s.flusher.Flush() // the head, where no event came before
	s.atFirst()
	for i, piece := range pieces {
		if i > 0 && s.call.provider.config.Pace > 0 {
			select {
			case <-time.After(s.call.provider.config.Pace):
			case <-s.call.r.Context().Done():
				s.lose()
			}
		}
		if s.lost {
			return
		}
		send(piece)
		if i == (len(pieces)-1)/2 {
			s.atMiddle()
		}
	}
}

func (s *stream) lose() {
	if !s.lost {
		s.lost = true
		s.call.provider.aborted.Add(1)
	}
}

// encode leaves <, > and & as they are, as providers do.
func encode(payload any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(payload)
	return buffer.Bytes(), err
}
