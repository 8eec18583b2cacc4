package credential

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/clients"
)

const (
	injector = "CredentialInjector/ai/openai"
	secret   = "sk-proj-0123456789abcdef"
)

func reference(key string) Reference { return Reference{Secret: "Secret/ai/keys", Key: key} }

func bearerKey(key string) *APIKey { return &APIKey{reference(key), authorization, bearer} }

// build makes a stage over a Secret ai/keys with the values.
func build(t *testing.T, kubernetes bool, values map[string]string, c *Config) *stage {
	t.Helper()
	held := &plan.Secret{Name: "Secret/ai/keys", Data: map[string]plan.Sensitive{}}
	for key, value := range values {
		held.Data[key] = plan.NewSensitive([]byte(value))
	}
	s, err := apply(policy.Env{Kubernetes: kubernetes, Policy: injector, Secret: func(name string) *plan.Secret {
		if name == held.Name {
			return held
		}
		return nil
	}}, c)
	if err != nil {
		t.Fatal(err)
	}
	return s.(*stage)
}

func client(namespace string) exchange.Client {
	return exchange.Client{Namespace: namespace, ServiceAccount: "sa", Source: exchange.SourcePodAddress}
}

// attempt runs the Attempt step on fields given as "Name: value" and returns those that leave.
func attempt(t *testing.T, s *stage, c exchange.Client, path string, fields ...string) (*exchange.Attempt, []string, *exchange.Refusal) {
	t.Helper()
	a := &exchange.Attempt{Path: path}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		a.Header.Add(name, value)
	}
	refusal := s.Attempt(t.Context(), &exchange.Exchange{Client: c}, &policy.Candidate{}, a)
	var sent []string
	for name, value := range a.Header.All() {
		sent = append(sent, name+": "+value)
	}
	return a, sent, refusal
}

func TestAttempt(t *testing.T) {
	values := map[string]string{"token": secret + "\n", "b": "key-of-b\r\n", "username": "user", "password": "pässwort", "org": "org-1"}
	f := func(c *Config, from string, fields []string, want ...string) {
		t.Helper()
		a, sent, refusal := attempt(t, build(t, false, values, c), client(from), "/v1", fields...)
		if refusal != nil || a.Credential != injector {
			t.Fatalf("refusal %+v, credential %q", refusal, a.Credential)
		}
		if diff := cmp.Diff(want, sent); diff != "" {
			t.Error(diff)
		}
	}
	basic := &Basic{reference("username"), reference("password")}
	encoded := base64.StdEncoding.EncodeToString([]byte("user:pässwort"))
	theirs := []string{"Accept: a", "authorization: Bearer mine", "Authorization: again", "COOKIE: c", "x-api-key: k", "Api-Key: k", "X-Goog-Api-Key: k", "x-auth-token: k"}

	f(&Config{Type: "APIKey", APIKey: bearerKey("token")}, "ai", theirs, "Accept: a", "Authorization: Bearer "+secret)
	f(&Config{Type: "APIKey", APIKey: &APIKey{reference("token"), "x-api-key", ""}}, "ai", theirs, "Accept: a", "x-api-key: "+secret)
	f(&Config{Type: "Basic", Basic: basic}, "ai", theirs, "Accept: a", "Authorization: Basic "+encoded)
	f(&Config{Type: "APIKey", APIKey: bearerKey("token"), ClientCredentials: "Keep"}, "ai",
		[]string{"authorization: x", "Cookie: c", "Authorization: y"}, "Authorization: Bearer "+secret, "Cookie: c")
	f(&Config{Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "OpenAI-Organization", Value: "o"}, {Name: "X-Org", Secret: new(reference("org"))}}},
		"ai", []string{"openai-organization: theirs"}, "OpenAI-Organization: o", "X-Org: org-1", "Authorization: Bearer "+secret)
	f(&Config{Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "authorization", Value: "o"}}}, "ai", nil, "Authorization: Bearer "+secret)

	per := &Config{Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "X-Team", Value: "none"}}, PerClient: []ClientCredential{
		{Clients: clients.List{{Namespaces: []string{"b"}}}, APIKey: &APIKey{reference("b"), "X-Key", ""}},
		{Clients: clients.List{{Namespaces: []string{"c", "b"}}}, Headers: []Header{{Name: "x-team", Value: "c"}, {Name: "X-More", Value: "m"}}},
		{Clients: clients.List{{Namespaces: []string{"d"}}}, Basic: basic},
	}}
	f(per, "ai", nil, "X-Team: none", "Authorization: Bearer "+secret)
	f(per, "b", nil, "X-Team: none", "X-Key: key-of-b")
	f(per, "c", nil, "x-team: c", "X-More: m", "Authorization: Bearer "+secret)
	f(per, "d", nil, "X-Team: none", "Authorization: Basic "+encoded)
}

func TestAttemptWithoutCredential(t *testing.T) {
	long := strings.Repeat("k", 16<<10+1)
	f := func(value, want string) {
		t.Helper()
		s := build(t, false, map[string]string{"token": value}, &Config{Type: "APIKey", APIKey: bearerKey("token")})
		a, sent, refusal := attempt(t, s, client("ai"), "/", "Authorization: theirs")
		if refusal == nil || refusal.Reason != exchange.CredentialUnavailable || refusal.Code() != 500 || a.Credential != "" {
			t.Fatalf("refusal %+v, sent %q", refusal, sent)
		}
		if !strings.HasSuffix(refusal.Detail, want) || value != "" && strings.Contains(refusal.Detail, value) {
			t.Errorf("detail %q", refusal.Detail)
		}
	}
	const key = "the key token of Secret ai/keys "
	f("", key+"is empty")
	f("\n", key+"is empty")
	f("\r\n", key+"is empty")
	f(long, key+"is longer than 16 KiB")
	for _, value := range []string{"sk\n\n", "s\rk", "sk\r", "s\nX-Evil: 1", "s\x00k", "s\x7fk", "s\x1bk"} {
		f(value, key+"holds a line end or another control character")
	}
	f("sk ", key+"begins or ends with white space")
	f("\tsk", key+"begins or ends with white space")
	f("s\u00a0k", key+"holds a character outside ASCII, which no header may have")
	f("s\xffk", key+"holds a character outside ASCII, which no header may have")
}

func TestAttemptWithoutSecret(t *testing.T) {
	values := map[string]string{"token": secret, "colon": "a:b", "username": "user"}
	f := func(c *Config, want string) {
		t.Helper()
		a, _, refusal := attempt(t, build(t, false, values, c), client("ai"), "/")
		if refusal == nil || refusal.Reason != exchange.CredentialUnavailable || !strings.HasSuffix(refusal.Detail, want) || a.Credential != "" {
			t.Errorf("refusal %+v", refusal)
		}
	}
	f(&Config{Type: "APIKey", APIKey: bearerKey("other")}, "Secret ai/keys has no key other")
	f(&Config{Type: "APIKey", APIKey: &APIKey{Reference{Secret: "Secret/ai/gone", Key: "token"}, authorization, bearer}}, "Secret ai/gone does not exist")
	f(&Config{Type: "APIKey", APIKey: &APIKey{Reference{Key: "token", Lost: "platform/keys"}, authorization, bearer}}, "the key token of Secret platform/keys is not there or may not be read from here")
	f(&Config{Type: "APIKey"}, "the policy holds none of its type")
	f(&Config{Type: "Basic", APIKey: bearerKey("token")}, "the policy holds none of its type")
	f(&Config{Type: "Basic", Basic: &Basic{reference("colon"), reference("token")}}, "holds a colon, which no user name may have")
	f(&Config{Type: "Basic", Basic: &Basic{reference("username"), reference("password")}}, "Secret ai/keys has no key password")
	f(&Config{Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "X", Secret: new(reference("other"))}}}, "Secret ai/keys has no key other")

	mixed := &Config{Type: "APIKey", APIKey: bearerKey("other"), PerClient: []ClientCredential{
		{Clients: clients.List{{Namespaces: []string{"b"}}}, APIKey: bearerKey("token")},
	}}
	if _, _, refusal := attempt(t, build(t, false, values, mixed), client("b"), "/"); refusal != nil {
		t.Errorf("another's missing key refused: %+v", refusal)
	}
}

func TestCandidate(t *testing.T) {
	f := func(kubernetes bool, c exchange.Client, named bool, hostname string, want exchange.Reason) {
		t.Helper()
		s := build(t, kubernetes, map[string]string{"token": secret}, &Config{Type: "APIKey", APIKey: bearerKey("token")})
		r := s.Candidate(t.Context(), &exchange.Exchange{Client: c}, &policy.Candidate{
			Backend: &plan.Backend{Hostname: hostname}, Namespace: "ai", Settings: &policy.Settings{ClientsNamed: named},
		})
		got := exchange.Reason("")
		if r != nil {
			got = r.Reason
		}
		if got != want {
			t.Errorf("%s, named %t, %s: %q", c, named, hostname, got)
		}
	}
	loopback := exchange.Client{Namespace: "local", ServiceAccount: "local", Source: exchange.SourceLoopback}
	const host = "api.openai.com"
	f(false, client("ai"), false, host, "")
	f(true, client("ai"), false, host, "")
	f(false, client("other"), false, host, exchange.ClientNotAllowed)
	f(false, client("other"), true, host, "")
	f(false, loopback, false, host, "")
	f(true, loopback, false, host, exchange.ClientNotAllowed)
	f(false, exchange.Client{Namespace: "ai"}, false, host, exchange.ClientNotAllowed)
	f(false, exchange.Client{Cluster: "edge", Foreign: true, Namespace: "ai", Source: exchange.SourceToken}, false, host, exchange.ClientNotAllowed)
	f(false, client("ai"), false, "*.example.com", exchange.CredentialUnavailable)
	f(false, client("ai"), true, "*.example.com", exchange.CredentialUnavailable)
}

// A SPIFFE id may name a client without a namespace; a namespace of that word owns nothing of it.
func TestNoNamespaceOwnsNothing(t *testing.T) {
	c := exchange.Client{Namespace: exchange.Unknown, ServiceAccount: exchange.Unknown, SPIFFE: "spiffe://x/a", Source: exchange.SourceSPIFFE}
	if (&stage{}).own(&c, exchange.Unknown) {
		t.Error("a client without a namespace is of one")
	}
}

func TestResponse(t *testing.T) {
	s := build(t, false, map[string]string{"username": "some-user", "password": "hunter2-hunter2"},
		&Config{Type: "Basic", Basic: &Basic{reference("username"), reference("password")}})
	f := func(status int, credential string, rejected bool) {
		t.Helper()
		x := &exchange.Exchange{Response: exchange.Response{Status: status}}
		r := s.Response(t.Context(), x, &policy.Candidate{}, &exchange.Attempt{Credential: credential})
		if (r != nil) != rejected {
			t.Fatalf("%d with %q: %+v", status, credential, r)
		}
		if r == nil {
			return
		}
		encoded := base64.StdEncoding.EncodeToString([]byte("some-user:hunter2-hunter2"))
		body := "no " + encoded + " nor hunter2-hunter2 of some-user here"
		want := "no " + strings.Repeat("*", len(encoded)) + " nor *************** of ********* here"
		if got := string(r.Redact([]byte(body))); got != want || r.Code() != 502 || r.Reason != exchange.CredentialRejected {
			t.Errorf("%s %d: %s", r.Reason, r.Code(), got)
		}
	}
	f(401, injector, true)
	f(401, "", false)
	f(403, injector, false)
	f(200, injector, false)
}

func TestTune(t *testing.T) {
	var settings policy.Settings
	build(t, false, nil, &Config{Type: "APIKey", APIKey: bearerKey("token")}).Tune(&settings)
	if settings.Credential != injector {
		t.Errorf("%q", settings.Credential)
	}
	if s, err := apply(policy.Env{}, new(Config)); s != nil || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestAttemptAllocates(t *testing.T) {
	s := build(t, false, map[string]string{"token": secret}, &Config{
		Type: "APIKey", APIKey: bearerKey("token"), Headers: []Header{{Name: "X-Org", Value: "o"}},
		PerClient: []ClientCredential{{Clients: clients.List{{Namespaces: []string{"b"}}}, Headers: []Header{{Name: "X-Team", Value: "b"}}}},
	})
	x, c, a := &exchange.Exchange{Client: client("b")}, &policy.Candidate{}, &exchange.Attempt{}
	n := testing.AllocsPerRun(100, func() {
		a.Header.Reset()
		a.Header.Add("Authorization", "mine")
		a.Header.Add("Accept", "a")
		a.Path = "/v1/chat?stream=true&model=x"
		if s.Attempt(t.Context(), x, c, a) != nil {
			t.Error("refused")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
