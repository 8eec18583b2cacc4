package observe

import (
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func TestAccessLine(t *testing.T) {
	local := answered()
	local.Client.Address = netip.MustParseAddrPort("[fe80::1%eth0]:80")
	local.Aborted = "client left"
	for name, test := range map[string]struct {
		x    *exchange.Exchange
		want string
	}{
		"answered": {answered(), `{"time":"2026-03-04T04:06:07.089Z","request_id":"01J9",` +
			`"client":{"address":"10.0.0.7:4711","cluster":"edge","namespace":"payments","service_account":"invoice","source":"PodAddress"},` +
			`"gateway":"ai/egress","listener":"http","route":"HTTPRoute/ai/chat","rule":"0","backend":"Backend/ai/openai",` +
			`"method":"POST","authority":"api.openai.com","path":"/v1/chat","protocol":"HTTP/2","status":200,` +
			`"attempts":[{"backend":"Backend/ai/azure","address":"192.0.2.1:443","reused":false,"status":0,"reason":"connect_failed","detail":"connection refused","written":0,"duration_ms":1.500},` +
			`{"backend":"Backend/ai/openai","address":"192.0.2.9:443","reused":true,"status":200,"protocol":"HTTP/2","written":812,"duration_ms":20.000,"credential":"CredentialInjector/ai/openai"}],` +
			`"bytes_in":700,"bytes_out":12345,"first_byte_ms":30.000,"duration_ms":1234.567,"user_agent":"openai-python/1.0"}` + "\n"},
		"refused": {refused(), `{"time":"2026-03-04T04:06:07.089Z","request_id":"01J9",` +
			`"client":{"address":"10.0.0.7:4711","cluster":"edge","namespace":"payments","service_account":"invoice","source":"PodAddress"},` +
			`"gateway":"ai/egress","listener":"http","route":"HTTPRoute/ai/chat","rule":"0",` +
			`"method":"POST","authority":"api.openai.com","path":"/v1/chat","protocol":"HTTP/2","status":403,` +
			`"reason":"host_denied","policy":"GuardRailsPolicy/ai/base","field":"spec.hosts.deny","detail":"matched \"*.example.net\"",` +
			`"reported":[{"reason":"client_not_allowed","policy":"EgressPolicy/ai/openai","field":"spec.clients","detail":"trial"}],` +
			`"bytes_in":700,"bytes_out":12345,"first_byte_ms":30.000,"duration_ms":1234.567,"user_agent":"openai-python/1.0"}` + "\n"},
		"called": {called(), `{"time":"2026-03-04T04:06:07.089Z","request_id":"01J9",` +
			`"client":{"address":"10.0.0.7:4711","cluster":"edge","namespace":"payments","service_account":"invoice",` +
			`"spiffe_id":"spiffe://td/ns/payments/sa/invoice","source":"SPIFFE"},` +
			`"gateway":"ai/egress","listener":"http","route":"HTTPRoute/ai/chat","rule":"0","backend":"Backend/ai/openai",` +
			`"method":"POST","authority":"api.openai.com","path":"/v1/chat","protocol":"HTTP/2","status":200,"grpc_status":"5",` +
			`"attempts":[{"backend":"Backend/ai/openai","address":"192.0.2.9:443","reused":true,"status":200,"protocol":"HTTP/2","written":812,"duration_ms":20.000}],` +
			`"bytes_in":700,"bytes_out":12345,"first_byte_ms":30.000,"duration_ms":1234.567,"user_agent":"openai-python/1.0"}` + "\n"},
		"empty": {&exchange.Exchange{}, `{"time":"0001-01-01T00:00:00.000Z","client":{"address":"","source":"None"},"protocol":"HTTP/1.1",` +
			`"status":0,"bytes_in":0,"bytes_out":0,"first_byte_ms":0.000,"duration_ms":0.000}` + "\n"},
	} {
		if got := string(appendAccess(nil, test.x)); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
	}
	m := decode(t, string(appendAccess(nil, local)))
	if got := m["client"].(map[string]any)["address"]; got != "[fe80::1%eth0]:80" || m["aborted"] != "client left" {
		t.Errorf("address %q, aborted %q", got, m["aborted"])
	}
}

func TestTheWayIsLogged(t *testing.T) {
	x := answered()
	x.Hop = exchange.Hop{Name: "edge-1", Depth: 2}
	x.Attempts[1].Parent = "Backend/ai/hub"
	line := string(appendAccess(nil, x))
	for _, want := range []string{`"source":"PodAddress"},"hop":"edge-1","depth":2,"gateway"`, `{"backend":"Backend/ai/openai","parent":"Backend/ai/hub","address"`} {
		if strings.Count(line, want) != 1 {
			t.Errorf("no %s in %s", want, line)
		}
	}
}

func TestDetail(t *testing.T) {
	f := func(refusal exchange.Refusal, want any) {
		t.Helper()
		x := unrouted()
		x.Refusal, x.Reported = &refusal, []exchange.Refusal{refusal}
		m := decode(t, string(appendAccess(nil, x)))
		if m["detail"] != want || m["reported"].([]any)[0].(map[string]any)["detail"] != want {
			t.Errorf("%+v: got %v", refusal, m)
		}
	}
	f(exchange.Refusal{Detail: "for the client"}, "for the client")
	f(exchange.Refusal{Detail: "for the client", Log: "for the log"}, "for the log")
	f(exchange.Refusal{Log: "for the log"}, "for the log")
	f(exchange.Refusal{}, nil)
}

func TestGRPCStatus(t *testing.T) {
	f := func(name string, change func(*exchange.Exchange), want any) {
		t.Helper()
		x := called()
		change(x)
		if got := decode(t, string(appendAccess(nil, x)))["grpc_status"]; got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
	f("trailers", func(*exchange.Exchange) {}, "5")
	f("trailers after a head that lies", func(x *exchange.Exchange) { x.Response.Header.Add("grpc-status", "0") }, "5")
	f("trailers only", func(x *exchange.Exchange) {
		x.Response.Trailer.Reset()
		x.Response.Header.Add("grpc-status", "12")
	}, "12")
	f("refused, after the trailers of an earlier attempt", func(x *exchange.Exchange) {
		x.Refusal = exchange.Refuse(exchange.UpstreamReset, "")
		x.Response.Header.Add("Grpc-Status", "14")
	}, "14")
	f("broken off", func(x *exchange.Exchange) { x.Response.Trailer.Reset() }, nil)
	f("no gRPC", func(x *exchange.Exchange) { x.Request.Header.Set("Content-Type", "application/json") }, nil)
	f("gRPC-Web", func(x *exchange.Exchange) { x.Request.Header.Set("Content-Type", "application/grpc-web") }, nil)
	f("hostile", func(x *exchange.Exchange) { x.Response.Trailer.Set("grpc-status", "\"\n"+strings.Repeat("0", 5000)) },
		"\"\n"+strings.Repeat("0", maxShort-2)+"…")
}

func TestAccessLineIsBounded(t *testing.T) {
	x := answered()
	x.Request.Path = "/" + strings.Repeat("ä", 5000)
	x.Attempts = make([]exchange.Attempt, maxAttempts+3)
	x.Reported = make([]exchange.Refusal, maxReported+4)
	m := decode(t, string(appendAccess(nil, x)))
	path := m["path"].(string)
	if !strings.HasSuffix(path, "ä…") || len(path) > maxPath+len("…") {
		t.Errorf("path of %d bytes ends in %q", len(path), path[len(path)-8:])
	}
	if len(m["attempts"].([]any)) != maxAttempts || m["attempts_omitted"] != 3.0 {
		t.Errorf("%d attempts, %v omitted", len(m["attempts"].([]any)), m["attempts_omitted"])
	}
	if len(m["reported"].([]any)) != maxReported || m["reported_omitted"] != 4.0 {
		t.Errorf("%d reported, %v omitted", len(m["reported"].([]any)), m["reported_omitted"])
	}
}

func TestAppendString(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain ~", 10, `"plain ~"`},
		{`q"b\`, 10, `"q\"b\\"`},
		{"a\nb\tc\rd\x00\x7f", 10, `"a\nb\tc\u000dd\u0000\u007f"`},
		{"h\u00e9 \U0001f600", 10, "\"h\u00e9 \U0001f600\""},
		{"\xff\xc3", 10, `"\ufffd\ufffd"`},
		{"\u0085\u2028\u202e", 10, `"\u0085\u2028\u202e"`},
		{"\U000e0001", 10, `"\udb40\udc01"`},
		{"abcdef", 3, `"abc…"`},
		{"aä", 2, `"a…"`},
		{strings.Repeat("\x80", 20), 10, `"` + strings.Repeat(`\ufffd`, 10) + `…"`},
		{"abc", 3, `"abc"`},
	} {
		if got := string(appendString(nil, test.in, test.limit)); got != test.want {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
}

// TestPlainLength puts each byte at each place of texts around the eight bytes that are tested at a time.
func TestPlainLength(t *testing.T) {
	for length := range 20 {
		for place := range length {
			for c := range 256 {
				text := []byte(strings.Repeat("a", length))
				text[place] = byte(c)
				want := length
				if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
					want = place
				}
				if got := plainLength(string(text)); got != want {
					t.Fatalf("%q: %d, want %d", text, got, want)
				}
			}
		}
	}
}

func TestAppendTime(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(0, -1), time.Unix(1<<31, 999_999_999), time.Unix(951782399, 5e6), time.Unix(951782400, 50e6),
		time.Date(9999, 12, 31, 23, 59, 59, 1e9-1, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 1, 0, 30, 0, 0, time.FixedZone("", 3600)), time.Date(2024, 2, 29, 12, 0, 0, 7e6, time.UTC),
	} {
		want := at.UTC().Format("2006-01-02T15:04:05.000Z07:00")
		if got := string(appendTime(nil, at)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAppendMillis(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.000", 0: "0.000", 999: "0.000", time.Microsecond: "0.001", 12345678: "12.345", time.Second: "1000.000",
		math.MaxInt64: "9223372036854.775",
	} {
		if got := string(appendMillis(nil, "", d)); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func FuzzAccessLine(f *testing.F) {
	f.Add("GET", "api.test", "/a\"\n\\", "agent\x00\xff", "detail\u2028", int64(5), int64(-3))
	f.Add("", "", "", "", "", int64(0), int64(0))
	f.Add("\x1b[2J", "\u202e", strings.Repeat("\xf0", 5000), "{}", "}\r\n{\"event\":\"denied\"}", int64(1)<<62, int64(-1)<<62)
	f.Fuzz(func(t *testing.T, method, authority, path, agent, detail string, n, d int64) {
		address := netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes().WithZone(agent), 1)
		x := &exchange.Exchange{
			ID: agent, Start: time.Unix(n%253402300799, d%1e9), Gateway: detail, Listener: method, Route: path, Rule: agent, Backend: authority,
			Client: exchange.Client{
				Address: address, Cluster: agent, Namespace: detail, ServiceAccount: path, SPIFFE: agent,
			},
			Request:  exchange.Request{Method: method, Authority: authority, Path: path},
			Response: exchange.Response{Status: int(int32(n))},
			Refusal:  &exchange.Refusal{Reason: exchange.Reason(detail), Policy: path, Field: agent, Log: detail},
			Reported: []exchange.Refusal{{Reason: exchange.Reason(agent), Policy: detail, Field: method, Log: path}},
			Attempts: []exchange.Attempt{
				{Backend: path, Address: address, Reason: exchange.Reason(method), Detail: detail, Written: d, Duration: time.Duration(d), Credential: agent},
			},
			BytesIn: n, BytesOut: d, FirstByte: time.Duration(d), Duration: time.Duration(n), Aborted: detail,
		}
		x.Request.Header.Add("User-Agent", agent)
		x.Request.Header.Add("Content-Type", "application/grpc")
		x.Response.Header.Add("Grpc-Status", detail)
		line := appendAccess(nil, x)
		one(t, line)
		var m struct {
			Method  string
			Client  struct{ Namespace string }
			Aborted string
		}
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(method) && len(method) <= maxShort && m.Method != method {
			t.Errorf("method %q came back as %q", method, m.Method)
		}
		if utf8.ValidString(detail) && len(detail) <= maxName && (m.Client.Namespace != detail || m.Aborted != detail) {
			t.Errorf("%q came back as %q and %q", detail, m.Client.Namespace, m.Aborted)
		}
		e := auditEvent{event: "denied", backend: path, address: address, policy: detail, field: method, reason: exchange.Reason(agent), credential: path}
		one(t, append(appendAudit(nil, x, &e), '}', '\n'))
	})
}

// one checks that the line is one JSON object that shows a terminal nothing but what prints.
func one(t *testing.T, line []byte) {
	t.Helper()
	if !json.Valid(line) || !utf8.Valid(line) {
		t.Fatalf("no JSON: %q", line)
	}
	for i, c := range line {
		if c < ' ' && (c != '\n' || i != len(line)-1) {
			t.Fatalf("control byte %#x at %d of %q", c, i, line)
		}
	}
}

func TestAuditLines(t *testing.T) {
	const who = `"time":"2026-03-04T04:06:07.089Z","request_id":"01J9",` +
		`"client":{"address":"10.0.0.7:4711","cluster":"edge","namespace":"payments","service_account":"invoice","source":"PodAddress"},` +
		`"gateway":"ai/egress","route":"HTTPRoute/ai/chat",`
	const what = `"method":"POST","authority":"api.openai.com","path":"/v1/chat"`
	f := func(name string, change func(*exchange.Exchange), want ...string) {
		t.Helper()
		var audit output
		o := newObserver(t, Config{Audit: &audit})
		x := answered()
		change(x)
		o.End(x)
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := audit.String()
		for _, line := range want {
			if !strings.Contains(got, line+"\n") {
				t.Errorf("%s: no line\n %s\nin\n%s", name, line, got)
			}
		}
		if n := strings.Count(got, "\n"); n != len(want) {
			t.Errorf("%s: %d lines, want %d:\n%s", name, n, len(want), got)
		}
		if n := counted(t, o, "ebbgate_denied_total"); n != strings.Count(got, `"event":"denied"`) {
			t.Errorf("%s: %d denials counted", name, n)
		}
	}
	used := `{"event":"credential_used",` + who + `"backend":"Backend/ai/openai","address":"192.0.2.9:443","status":200,` + what + `,"credential":"CredentialInjector/ai/openai"}`
	f("credential used", func(*exchange.Exchange) {}, used)
	f("policy denied and would have", func(x *exchange.Exchange) { *x = *refused() },
		`{"event":"would_deny",`+who+`"policy":"EgressPolicy/ai/openai","field":"spec.clients","reason":"client_not_allowed","status":403,`+what+`}`,
		`{"event":"denied",`+who+`"policy":"GuardRailsPolicy/ai/base","field":"spec.hosts.deny","reason":"host_denied","status":403,`+what+`}`)
	f("engine denied", func(x *exchange.Exchange) {
		x.Attempts, x.Backend, x.Response.Status, x.Refusal = nil, "", 0, exchange.Refuse(exchange.CrossOriginDenied, "")
	}, `{"event":"denied",`+who+`"reason":"cross_origin_denied","status":403,`+what+`}`)
	f("a client of a known Pod", func(x *exchange.Exchange) { x.Client.Pod, x.Client.Workload = "web-1-a", "Deployment/web" },
		strings.Replace(used, `"source"`, `"workload":"Deployment/web","pod":"web-1-a","source"`, 1))
	f("a client with a SPIFFE id", func(x *exchange.Exchange) { x.Client.SPIFFE = "spiffe://td/a" },
		strings.Replace(used, `"source"`, `"spiffe_id":"spiffe://td/a","source"`, 1))
	f("engine failed", func(x *exchange.Exchange) {
		x.Attempts, x.Refusal = nil, exchange.Refuse(exchange.UpstreamTimeout, "")
	})
	f("attempt denied, another served", func(x *exchange.Exchange) { x.Attempts[0].Reason = exchange.AddressDenied },
		`{"event":"denied",`+who+`"backend":"Backend/ai/azure","address":"192.0.2.1:443","reason":"address_denied","status":0,`+what+`}`, used)
	f("last attempt's denial is the request's", func(x *exchange.Exchange) {
		x.Attempts = x.Attempts[:1]
		x.Attempts[0].Reason, x.Backend, x.Response.Status = exchange.TLSVerificationFailed, "Backend/ai/azure", 502
		x.Refusal = exchange.Refuse(exchange.TLSVerificationFailed, "")
	}, `{"event":"denied",`+who+`"backend":"Backend/ai/azure","reason":"tls_verification_failed","status":502,`+what+`}`)
}

func TestDeniedReasons(t *testing.T) {
	n := 0
	for _, r := range exchange.Reasons() {
		if denied(r) {
			n++
		}
	}
	if n != 12 {
		t.Errorf("%d of the closed list's reasons are denials, want 12", n)
	}
}

func TestAuditBody(t *testing.T) {
	const key = "sk-proj-abcdefghijklmnop"
	f := func(name, body string, blank func([]byte) []byte, want any, length float64) {
		t.Helper()
		var access, audit output
		o := newObserver(t, Config{Access: &access, Audit: &audit})
		before := []byte(body)
		o.AuditBody(answered(), before, blank)
		if err := o.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := decode(t, audit.String())
		if m["event"] != "provider_body" || m["body"] != want || m["body_bytes"] != length {
			t.Errorf("%s: got %s", name, audit.String())
		}
		if access.String() != "" || string(before) != body {
			t.Errorf("%s: in the access log, or changed in place", name)
		}
	}
	blank := plan.Blank(plan.NewSensitive([]byte(key)), plan.NewSensitive([]byte("pin")), plan.NewSensitive(nil))
	f("whole", `{"error":"bad key `+key+`"}`, blank, `{"error":"bad key `+strings.Repeat("*", len(key))+`"}`, 44)
	f("part", "key ending in jklmnop, pin", blank, "key ending in *******, ***", 26)
	f("identifying part", "key sk-pr...mnop", blank, "key sk-pr...mnop", 16)
	f("no function", "bad key "+key, nil, nil, 32)
	f("in place", "abc", func(b []byte) []byte { clear(b); return append(b[:0], 'x') }, "x", 3)
	across := strings.Repeat("a b ", maxBody/4-2)
	f("across the cut", across+key, blank, across+strings.Repeat("*", 8)+"…", float64(len(across)+len(key)))
}
