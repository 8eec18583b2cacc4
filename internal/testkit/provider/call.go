package provider

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"time"
)

// dialect is what differs between the providers around an endpoint.
type dialect struct {
	route   func(method, path string) (endpoint, error) // path is escaped
	keys    func(http.Header) []string                  // every key presented
	explain func(f *failure, id string) any             // an error's body
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

// execute counts an inference. An endpoint calls it once, after its last check and before it writes.
func (c *call) execute() { c.provider.executions.Add(1) }

func (c *call) json(status int, payload any) {
	body, err := encode(payload)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that left is no matter
}

// stream sends server-sent events, each flushed by itself.
type stream struct {
	call    *call
	flusher *http.ResponseController
	lineEnd string
	lost    bool // the client left; nothing more is sent
}

func (c *call) stream(lineEnd string) *stream {
	c.w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	c.w.Header().Set("Cache-Control", "no-cache")
	c.w.WriteHeader(http.StatusOK)
	return &stream{call: c, flusher: http.NewResponseController(c.w), lineEnd: lineEnd}
}

// send writes one event; the name may be empty.
func (s *stream) send(event string, payload any) {
	data, err := encode(payload)
	if err != nil {
		s.lose()
		return
	}
	s.write(event, string(bytes.TrimSpace(data)))
}

func (s *stream) write(event, data string) {
	if s.lost {
		return
	}
	text := "data: " + data + s.lineEnd + s.lineEnd
	if event != "" {
		text = "event: " + event + s.lineEnd + text
	}
	if _, err := s.call.w.Write([]byte(text)); err != nil || s.flusher.Flush() != nil {
		s.lose()
	}
}

// words sends an answer word by word at the configured pace.
func (s *stream) words(pieces []string, send func(piece string)) {
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
