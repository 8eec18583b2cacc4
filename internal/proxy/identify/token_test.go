package identify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
)

const issuer = "https://kubernetes.default.svc.cluster.local"

// signer is a cluster that makes tokens.
type signer struct {
	testing.TB
	key *ecdsa.PrivateKey
	rsa *rsa.PrivateKey
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, key, long}
}

// source are the keys "e" and "r", for tokens of the audience ebbgate in the field X-Token.
func (s *signer) source(more ...jose.JSONWebKey) *plan.TokenSource {
	s.Helper()
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{
		{Key: s.key.Public(), KeyID: "e", Algorithm: "ES256", Use: "sig"}, {Key: s.rsa.Public(), KeyID: "r", Use: "sig"},
	}, more...)})
	if err != nil {
		s.Fatal(err)
	}
	return &plan.TokenSource{Header: "X-Token", Audience: "ebbgate", Issuer: plan.Issuer{URL: issuer, Keys: string(text)}}
}

// of changes whose token it is.
func of(claims map[string]any, namespace, account, pod, uid string) {
	claims["sub"] = "system:serviceaccount:" + namespace + ":" + account
	claims["kubernetes.io"] = map[string]any{
		"namespace": namespace, "serviceaccount": map[string]any{"name": account, "uid": "u"}, "pod": map[string]any{"name": pod, "uid": uid},
	}
}

// token is one of the Pod ai/a, of UID 1 and the ServiceAccount batch, if it is not changed.
func (s *signer) token(change func(claims map[string]any)) string {
	return s.sign(jose.ES256, s.key, "e", change)
}

func (s *signer) sign(algorithm jose.SignatureAlgorithm, key any, id string, change func(claims map[string]any)) string {
	s.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": []string{"ebbgate"}, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	of(claims, "ai", "batch", "a", "1")
	if change != nil {
		change(claims)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		s.Fatal(err)
	}
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: id}}, nil)
	if err != nil {
		s.Fatal(err)
	}
	signed, err := made.Sign(text)
	if err != nil {
		s.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.Fatal(err)
	}
	return token
}

func TestTokens(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	secret := []byte("0123456789abcdef0123456789abcdef")
	pods := told(workloadOf("ai/a", "1", "batch"))
	f := func(what, token string, good bool) {
		t.Helper()
		v, err := NewVerifier(s.source(), pods)
		if err != nil {
			t.Fatal(err)
		}
		found := v.verify(token, nil, time.Now())
		if found != nil != good {
			t.Errorf("%s: %+v", what, found)
		}
		if found != nil && (found.namespace != "ai" || found.serviceAccount != "batch") {
			t.Errorf("%s: %s/%s", what, found.namespace, found.serviceAccount)
		}
	}
	claim := func(name string, value any) string {
		return s.token(func(c map[string]any) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		})
	}
	now := time.Now()
	f("as it should be", s.token(nil), true)
	f("by the other key", s.sign(jose.RS256, s.rsa, "r", nil), true)
	f("not bound to a Pod", s.token(func(c map[string]any) {
		c["kubernetes.io"] = map[string]any{"namespace": "ai", "serviceaccount": map[string]any{"name": "batch"}}
	}), true)
	f("for several", claim("aud", []string{"x", "ebbgate"}), true)
	f("for one, as text", claim("aud", "ebbgate"), true)
	f("without nbf", claim("nbf", nil), true)
	f("of a clock that is a little ahead", claim("nbf", now.Add(maxSkew/2).Unix()), true)

	f("nothing", "", false)
	f("of another signer", other.token(nil), false)
	f("of another signer, by another id", other.sign(jose.ES256, other.key, "x", nil), false)
	f("without an id", s.sign(jose.ES256, s.key, "", nil), false)
	f("by another algorithm of the kind", s.sign(jose.PS256, s.rsa, "r", nil), false)
	f("by a shared secret", s.sign(jose.HS256, secret, "e", nil), false)
	f("for nobody", claim("aud", nil), false)
	f("for another", claim("aud", []string{"https://kubernetes.default.svc"}), false)
	f("for another of the letters", claim("aud", "EBBGATE"), false)
	f("of another issuer", claim("iss", "https://evil.test"), false)
	f("of no issuer", claim("iss", nil), false)
	f("without an end", claim("exp", nil), false)
	f("over", claim("exp", now.Add(-time.Second).Unix()), false)
	f("not yet", claim("nbf", now.Add(time.Minute).Unix()), false)
	f("made in the future", claim("iat", now.Add(time.Minute).Unix()), false)
	f("of a user", claim("sub", "alice"), false)
	f("of another subject", claim("sub", "system:serviceaccount:web:front"), false)
	f("without Kubernetes' claims", claim("kubernetes.io", nil), false)
	f("of another kind of claims", claim("kubernetes.io", "x"), false)
	f("of a name that is none", s.token(func(c map[string]any) { of(c, "ai:x", "batch", "a", "1") }), false)
	f("of a Pod that is not known", s.token(func(c map[string]any) { of(c, "ai", "batch", "z", "1") }), false)
	f("of the Pod before", s.token(func(c map[string]any) { of(c, "ai", "batch", "a", "0") }), false)
	f("of another ServiceAccount than its Pod's", s.token(func(c map[string]any) { of(c, "ai", "other", "a", "1") }), false)
	f("too long", s.token(func(c map[string]any) { c["x"] = strings.Repeat("x", maxToken) }), false)

	token := s.token(nil)
	parts := strings.Split(token, ".")
	f("cut", token[:len(token)-1], false)
	f("with more behind it", token+".x", false)
	f("without its signature", parts[0]+"."+parts[1]+".", false)
	f("of two parts", parts[0]+"."+parts[1], false)
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","kid":"e"}`))
	f("that nobody signed", none+"."+parts[1]+".", false)
	f("with the signature of another", parts[0]+"."+strings.Split(s.sign(jose.ES256, s.key, "e", func(c map[string]any) { c["x"] = 1 }), ".")[1]+"."+parts[2], false)
	f("with a space", token[:20]+" "+token[20:], false)
	f("in JSON", `{"payload":"`+parts[1]+`","protected":"`+parts[0]+`","signature":"`+parts[2]+`"}`, false)
}

// TestTokensEnd: what was verified before holds no longer than its time, its Pod and its keys.
func TestTokensEnd(t *testing.T) {
	s := newSigner(t)
	a := workloadOf("ai/a", "1", "batch", "10.0.0.1")
	pods := told(a)
	source := s.source()
	v, err := NewVerifier(source, pods)
	if err != nil {
		t.Fatal(err)
	}
	o := pods.Connect(netip.MustParseAddr("10.0.0.1"), func() {})
	token, now := s.token(nil), time.Now()
	first := v.verify(token, o, now)
	if first == nil || v.verify(token, o, now) != first || v.verify(token, nil, now) != first || v.verify(token, nil, now) != first {
		t.Fatal("a token is verified anew")
	}
	if v.verify(token, o, now.Add(2*time.Hour)) != nil || v.verify(token, nil, now.Add(2*time.Hour)) != nil {
		t.Error("a token outlives its time")
	}
	pods.Update(set(ending(a)), false)
	if v.verify(token, o, now) != first {
		t.Error("a Pod that is ending has lost its name")
	}
	next := *source
	next.Issuer.Keys = newSigner(t).source().Issuer.Keys
	rotated, err := NewVerifier(&next, pods)
	if err != nil || rotated.verify(token, o, now) != nil || v.Same(&next) || !v.Same(source) {
		t.Errorf("a token outlives its key (%v)", err)
	}
	pods.Update(gone("ai/a"), false)
	if v.verify(token, o, now) != nil || v.verify(token, nil, now) != nil {
		t.Error("a token outlives its Pod")
	}
	empty, err := NewVerifier(&plan.TokenSource{Header: "X-Token", Audience: "ebbgate"}, nil)
	if err != nil || empty.verify(token, nil, now) != nil {
		t.Errorf("a token is verified without keys (%v)", err)
	}
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	s := newSigner(t)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	f := func(wrong bool, more ...jose.JSONWebKey) {
		t.Helper()
		v, err := NewVerifier(s.source(more...), nil)
		if err != nil != wrong || v.verify(s.token(nil), nil, time.Now()) == nil {
			t.Errorf("%+v: %v", more, err)
		}
		if len(v.keys) != 2 {
			t.Errorf("%d keys are used", len(v.keys))
		}
	}
	f(false)
	f(true, jose.JSONWebKey{Key: short.Public(), KeyID: "short"})
	f(true, jose.JSONWebKey{Key: s.rsa.Public(), KeyID: "enc", Use: "enc"})
	f(true, jose.JSONWebKey{Key: s.rsa.Public()})
	f(true, jose.JSONWebKey{Key: s.rsa.Public(), KeyID: "e"})
	f(true, jose.JSONWebKey{Key: []byte("0123456789abcdef"), KeyID: "shared"})
	f(true, jose.JSONWebKey{Key: s.key, KeyID: "private"})
	if _, err := NewVerifier(&plan.TokenSource{Issuer: plan.Issuer{Keys: "nonsense"}}, nil); err == nil {
		t.Error("nonsense passed")
	}
	unknown := s.source()
	unknown.Issuer.Keys = strings.Replace(unknown.Issuer.Keys, `"keys":[`, `"keys":[{"kty":"NEW","kid":"n"},`, 1)
	if v, err := NewVerifier(unknown, nil); err == nil || v.verify(s.token(nil), nil, time.Now()) == nil {
		t.Errorf("a key of a new kind: %v", err)
	}
}

func TestWhereATokenStands(t *testing.T) {
	s := newSigner(t)
	f := func(field, proxy string, want string, pairs ...string) {
		t.Helper()
		source := s.source()
		source.Header = field
		v, err := NewVerifier(source, nil)
		if err != nil {
			t.Fatal(err)
		}
		var h exchange.Header
		for i := 0; i < len(pairs); i += 2 {
			h.Add(pairs[i], pairs[i+1])
		}
		if got := v.bearer(&h, proxy); got != want {
			t.Errorf("%s, %q, %q: %q, want %q", field, proxy, pairs, got, want)
		}
	}
	f("Proxy-Authorization", "Bearer x", "x")
	f("proxy-authorization", "bearer  x ", "x")
	f("Proxy-Authorization", "Basic x", "")
	f("Proxy-Authorization", "", "", "X-Token", "Bearer x")
	f("X-Token", "Bearer y", "x", "x-token", "Bearer x")
	f("X-Token", "Bearer y", "")
	f("X-Token", "", "", "X-Token", "x")
	f("X-Token", "", "", "X-Token", "Bearer x", "x-token", "Bearer x")
}

func TestTheCacheIsBounded(t *testing.T) {
	v := &Verifier{}
	now := time.Now()
	for i := range 3 * maxVerified {
		found := &verified{by: v, expires: now.Add(time.Duration(i-maxVerified) * time.Minute)}
		found.sum[1], found.sum[2], found.sum[3] = byte(i), byte(i>>8), byte(i>>16)
		v.remember(found, now)
	}
	if n := len(v.cache[0].verified); n == 0 || n > maxVerified {
		t.Errorf("%d tokens are remembered", n)
	}
}

func TestTokensAllocate(t *testing.T) {
	s := newSigner(t)
	pods := told(workloadOf("ai/a", "1", "batch", "10.0.0.1"))
	g := &plan.Gateway{PodAddress: true, Token: s.source()}
	v, err := NewVerifier(g.Token, pods)
	if err != nil {
		t.Fatal(err)
	}
	id, err := New(g, true, pods, v)
	if err != nil {
		t.Fatal(err)
	}
	field := "Bearer " + s.token(nil)
	o := pods.Connect(netip.MustParseAddr("10.0.0.1"), func() {})
	at := Connection{Address: netip.MustParseAddrPort("10.0.0.1:1"), Origin: o, Now: time.Now()}
	var h exchange.Header
	h.Add("X-Token", field)
	if client, _, _ := id.Identify(at, &h); client.Source != exchange.SourceToken || client.Pod != "a" || client.Workload != "Deployment/d" {
		t.Errorf("%+v", client)
	}
	n := testing.AllocsPerRun(100, func() {
		h.Add("X-Token", field)
		o.Settle(t.Context())
		id.Identify(at, &h)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzToken: whatever stands in a token, it names nobody but whom the signer signed for.
func FuzzToken(f *testing.F) {
	s := newSigner(f)
	v, err := NewVerifier(s.source(), told(workloadOf("ai/a", "1", "batch")))
	if err != nil {
		f.Fatal(err)
	}
	good := s.token(nil)
	for _, seed := range []string{good, good + ".", "", "..", "e30.e30.", strings.Replace(good, ".", "..", 1), good[:len(good)/2]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if found := v.read(token, time.Now()); found != nil && !strings.HasPrefix(token, good[:strings.LastIndexByte(good, '.')]) {
			t.Errorf("%q: %+v", token, found)
		}
	})
}

// FuzzKeys: a set of keys is read or refused.
func FuzzKeys(f *testing.F) {
	keys := newSigner(f).source().Issuer.Keys
	for _, seed := range []string{keys, "{}", `{"keys":[{}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","kid":"a"}]}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, _ := NewVerifier(&plan.TokenSource{Issuer: plan.Issuer{Keys: text}}, nil)
		for id := range maps.Keys(v.keys) {
			if id == "" {
				t.Error("a key without an id")
			}
		}
	})
}

func BenchmarkToken(b *testing.B) {
	s := newSigner(b)
	v, err := NewVerifier(s.source(), nil)
	if err != nil {
		b.Fatal(err)
	}
	token, now := s.sign(jose.RS256, s.rsa, "r", nil), time.Now()
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			v.read(token, now)
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			v.verify(token, nil, now)
		}
	})
}
