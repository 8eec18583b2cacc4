package provider

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ebbgate/ebbgate/internal/testkit/ca"
)

const testKey = "sk-test-0123456789abcdef"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// harness is an emulator and a client that trusts it.
type harness struct {
	*Provider
	t      *testing.T
	client *http.Client
	header http.Header // sent with every call
}

func start(t *testing.T, config Config) *harness {
	t.Helper()
	authority, err := ca.New("root")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(ca.Leaf{IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	config.Key, config.Certificate = testKey, leaf
	p, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &harness{Provider: p, t: t, client: &http.Client{Transport: transport}, header: http.Header{"Content-Type": {"application/json"}}}
	switch config.Kind {
	case OpenAI, Bedrock:
		h.header.Set("Authorization", "Bearer "+testKey)
	case Anthropic:
		h.header.Set("X-Api-Key", testKey)
		h.header.Set("Anthropic-Version", "2023-06-01")
	case Gemini:
		h.header.Set("X-Goog-Api-Key", testKey)
	}
	return h
}

func (h *harness) send(ctx context.Context, method, path string, header http.Header, body io.Reader) *http.Response {
	h.t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, h.URL()+path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	request.Header = header
	response, err := h.client.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	return response
}

// call sends and reads an answer whole.
func (h *harness) call(method, path string, header http.Header, body string) (*http.Response, string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	response := h.send(ctx, method, path, header, strings.NewReader(body))
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return response, string(text)
}

// post expects 200 and reads the answer into a value.
func (h *harness) post(path, body string, into any) *http.Response {
	h.t.Helper()
	response, text := h.call(http.MethodPost, path, h.header, body)
	if response.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %d %s", path, response.StatusCode, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		h.t.Fatalf("%s: %v in %s", path, err, text)
	}
	return response
}

// event is one server-sent event.
type event struct{ name, data string }

// stream expects 200 and an event stream.
func (h *harness) stream(path, body, lineEnd string) []event {
	h.t.Helper()
	response, text := h.call(http.MethodPost, path, h.header, body)
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		h.t.Fatalf("%s: %d %s", path, response.StatusCode, text)
	}
	var list []event
	for block := range strings.SplitSeq(strings.TrimSuffix(text, lineEnd+lineEnd), lineEnd+lineEnd) {
		var e event
		for line := range strings.SplitSeq(block, lineEnd) {
			if name, ok := strings.CutPrefix(line, "event: "); ok {
				e.name = name
			} else if data, ok := strings.CutPrefix(line, "data: "); ok {
				e.data = data
			} else {
				h.t.Fatalf("line %q", line)
			}
		}
		list = append(list, e)
	}
	return list
}

func read[T any](t *testing.T, data string) T {
	t.Helper()
	var into T
	if err := json.Unmarshal([]byte(data), &into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return into
}

// valid are a path and a body that each emulator takes.
var valid = map[Kind]struct{ path, body, keyField, keyPrefix string }{
	OpenAI:    {"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hello there"}]}`, "Authorization", "Bearer "},
	Anthropic: {"/v1/messages", `{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hello there"}]}`, "X-Api-Key", ""},
	Gemini:    {"/v1beta/models/m:generateContent", `{"contents":[{"parts":[{"text":"hello there"}]}]}`, "X-Goog-Api-Key", ""},
	Bedrock:   {"/model/m/converse", `{"messages":[{"role":"user","content":[{"text":"hello there"}]}]}`, "Authorization", "Bearer "},
}

func TestConfigIsChecked(t *testing.T) {
	whole := tls.Certificate{Certificate: [][]byte{{1}}}
	for _, config := range []Config{
		{Kind: OpenAI, Certificate: whole},
		{Kind: OpenAI, Key: testKey},
		{Kind: "Other", Key: testKey, Certificate: whole},
		{Kind: OpenAI, Key: testKey, Certificate: whole, Address: "256.0.0.1:0"},
	} {
		if _, err := New(config); err == nil || strings.Contains(err.Error(), testKey) {
			t.Errorf("%v: %v", config.Kind, err)
		}
	}
}

func TestWrongKeysAreRejectedAndMasked(t *testing.T) {
	for kind, want := range valid {
		h := start(t, Config{Kind: kind})
		const wrong = "wrong-key-that-nobody-knows"
		for name, keys := range map[string][]string{"wrong": {wrong}, "missing": nil, "two": {testKey, wrong}, "twice": {wrong, testKey}, "prefix": {testKey[:10]}} {
			header := h.header.Clone()
			header.Del(want.keyField)
			for _, key := range keys {
				header.Add(want.keyField, want.keyPrefix+key)
			}
			response, body := h.call(http.MethodPost, want.path, header, want.body)
			if response.StatusCode != http.StatusUnauthorized || !json.Valid([]byte(body)) {
				t.Errorf("%s, %s: %d %s", kind, name, response.StatusCode, body)
			}
			if name == "wrong" && !strings.Contains(body, "wro****nows") || strings.Contains(body, wrong) || strings.Contains(body, testKey) {
				t.Errorf("%s, %s: %s", kind, name, body)
			}
		}
		if h.Executions() != 0 || h.Rejections() != 5 {
			t.Errorf("%s: %d executions, %d rejections", kind, h.Executions(), h.Rejections())
		}
	}
}

func TestErrorShapes(t *testing.T) {
	for kind, want := range map[Kind]string{
		OpenAI:    `{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: ****.","param":null,"type":"invalid_request_error"}}`,
		Anthropic: `{"error":{"message":"Incorrect API key provided: ****.","type":"authentication_error"},"request_id":"ID","type":"error"}`,
		Bedrock:   `{"message":"Incorrect API key provided: ****."}`,
		Gemini: `{"error":{"code":400,"details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"googleapis.com",` +
			`"metadata":{"service":"generativelanguage.googleapis.com"},"reason":"API_KEY_INVALID"}],"message":"Incorrect API key provided: ****.","status":"INVALID_ARGUMENT"}}`,
	} {
		config := Config{Kind: kind}
		if kind == Gemini {
			config.Rejection = http.StatusBadRequest
		}
		h := start(t, config)
		header := h.header.Clone()
		header.Set(valid[kind].keyField, valid[kind].keyPrefix+"short")
		response, body := h.call(http.MethodPost, valid[kind].path, header, valid[kind].body)
		id := response.Header.Get("X-Request-Id")
		if id == "" || response.Header.Get("Request-Id") != id {
			t.Errorf("%s: request ids %v", kind, response.Header)
		}
		if got := strings.TrimSpace(strings.ReplaceAll(body, id, "ID")); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", kind, got, want)
		}
	}
}

func TestSetKey(t *testing.T) {
	h := start(t, Config{Kind: Anthropic})
	h.SetKey("another-key-altogether")
	if response, _ := h.call(http.MethodPost, valid[Anthropic].path, h.header, valid[Anthropic].body); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("the old key: %d", response.StatusCode)
	}
	h.header.Set("X-Api-Key", "another-key-altogether")
	if response, _ := h.call(http.MethodPost, valid[Anthropic].path, h.header, valid[Anthropic].body); response.StatusCode != http.StatusOK {
		t.Errorf("the new key: %d", response.StatusCode)
	}
}

func TestRefusals(t *testing.T) {
	check := func(kind Kind, method, path, body string, status int) {
		t.Helper()
		h := start(t, Config{Kind: kind, Models: []string{"m"}})
		response, text := h.call(method, path, h.header, body)
		if response.StatusCode != status || !strings.Contains(text, `"message"`) || h.Executions() != 0 || h.Rejections() != 1 {
			t.Errorf("%s %s %s: %d %s, %d executions", method, path, body, response.StatusCode, text, h.Executions())
		}
	}
	for kind, v := range valid {
		check(kind, "GET", v.path, "", 405)
		check(kind, "POST", "/v2/other", v.body, 404)
		check(kind, "POST", v.path, v.body[:len(v.body)-1], 400)
		check(kind, "POST", v.path, `{}`, 400)
	}
	check(OpenAI, "POST", "/v1/chat/completions", `{"model":"m"}`, 400)
	check(OpenAI, "POST", "/v1/chat/completions", `{"model":"m","messages":[{"content":"x"}]}`, 400)
	check(OpenAI, "POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":7}]}`, 400)
	check(OpenAI, "POST", "/v1/chat/completions", `{"model":"m","n":2,"messages":[{"role":"user","content":"x"}]}`, 400)
	check(OpenAI, "POST", "/v1/chat/completions", `{"model":"other","messages":[{"role":"user","content":"x"}]}`, 404)
	check(OpenAI, "POST", "/v1/embeddings", `{"model":"m"}`, 400)
	check(OpenAI, "POST", "/v1/embeddings", `{"model":"m","input":[""]}`, 400)
	check(OpenAI, "POST", "/v1/embeddings", `{"model":"m","input":"a","dimensions":-1}`, 400)
	check(OpenAI, "POST", "/v1/responses", `{"model":"m","input":{}}`, 400)
	check(OpenAI, "GET", "/v1/models/other", "", 404)
	check(OpenAI, "DELETE", "/v1/models", "", 405)
	check(Anthropic, "POST", "/v1/messages", `{"model":"m","messages":[{"role":"user","content":"x"}]}`, 400)
	check(Anthropic, "POST", "/v1/messages", `{"model":"m","max_tokens":0,"messages":[{"role":"user","content":"x"}]}`, 400)
	check(Anthropic, "POST", "/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"system","content":"x"}]}`, 400)
	check(Gemini, "POST", "/v1beta/models/m:generateContent", `{"contents":[{"role":"user"}]}`, 400)
	check(Gemini, "POST", "/v1beta/models/m:streamGenerateContent", valid[Gemini].body, 400)
	check(Gemini, "POST", "/v1beta/models/other:generateContent", valid[Gemini].body, 404)
	check(Bedrock, "POST", "/model/other/converse", valid[Bedrock].body, 404)
	check(Bedrock, "POST", "/model/m/invoke", valid[Bedrock].body, 404)
}

func TestAnthropicTakesEitherFieldButOneCredential(t *testing.T) {
	h := start(t, Config{Kind: Anthropic})
	header := h.header.Clone()
	header.Del("X-Api-Key")
	header.Set("Authorization", "Bearer "+testKey)
	if response, body := h.call(http.MethodPost, "/v1/messages", header, valid[Anthropic].body); response.StatusCode != http.StatusOK {
		t.Errorf("bearer: %d %s", response.StatusCode, body)
	}
	header.Set("X-Api-Key", testKey)
	if response, _ := h.call(http.MethodPost, "/v1/messages", header, valid[Anthropic].body); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("both: %d", response.StatusCode)
	}
}

func TestAnthropicVersions(t *testing.T) {
	h := start(t, Config{Kind: Anthropic})
	warm := strings.Replace(valid[Anthropic].body, "{", `{"temperature":1,`, 1)
	system := strings.Replace(valid[Anthropic].body, `"messages":[`, `"messages":[{"role":"system","content":"be kind"},`, 1)
	for _, test := range []struct {
		version, body string
		status        int
	}{
		{version2023, warm, 200}, {version2026, warm, 400}, {version2023, system, 400}, {version2026, system, 200}, {"2020-01-01", warm, 400},
	} {
		h.header.Set("Anthropic-Version", test.version)
		if response, body := h.call(http.MethodPost, "/v1/messages", h.header, test.body); response.StatusCode != test.status {
			t.Errorf("%s, %s: %d %s", test.version, test.body, response.StatusCode, body)
		}
	}
}

func TestRequiredFields(t *testing.T) {
	h := start(t, Config{Kind: Anthropic})
	for field, status := range map[string]int{"Anthropic-Version": 400, "Content-Type": 415} {
		header := h.header.Clone()
		header.Del(field)
		if response, body := h.call(http.MethodPost, "/v1/messages", header, valid[Anthropic].body); response.StatusCode != status {
			t.Errorf("without %s: %d %s", field, response.StatusCode, body)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	h := start(t, Config{Kind: OpenAI})
	prompt := func(size int) string {
		frame := `{"model":"m","messages":[{"role":"user","content":""}]}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", size-len(frame))+`"`, 1)
	}
	if response, body := h.call(http.MethodPost, "/v1/chat/completions", h.header, prompt(maxBody)); response.StatusCode != 200 || len(body) > 2*maxQuote {
		t.Errorf("32 MiB: %d, answer of %d bytes", response.StatusCode, len(body))
	}
	if h.Executions() != 1 {
		t.Error("not counted")
	}
	// Over HTTP/2 the refusal can be read although the upload is not over.
	if response, body := h.call(http.MethodPost, "/v1/chat/completions", h.header, prompt(maxBody+1)); response.StatusCode != 413 || response.ProtoMajor != 2 {
		t.Errorf("32 MiB and a byte: %d %s", response.StatusCode, body)
	}
}

func TestStreamWhoseClientLeavesIsCounted(t *testing.T) {
	h := start(t, Config{Kind: OpenAI, Pace: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	response := h.send(ctx, http.MethodPost, "/v1/chat/completions", h.header,
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"a b c"}]}`))
	if _, err := io.ReadFull(response.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	cancel()
	_ = response.Body.Close()
	h.running.Wait() // the handler's end is the event
	if h.Aborted() != 1 || h.Executions() != 1 {
		t.Errorf("%d aborted, %d executions", h.Aborted(), h.Executions())
	}
}

func TestCloseEndsStreams(t *testing.T) {
	h := start(t, Config{Kind: OpenAI, Pace: time.Hour})
	response := h.send(t.Context(), http.MethodPost, "/v1/chat/completions", h.header,
		strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"a b c"}]}`))
	defer func() { _ = response.Body.Close() }()
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if text, err := io.ReadAll(response.Body); strings.Contains(string(text), "[DONE]") {
		t.Errorf("%q, %v", text, err)
	}
}
