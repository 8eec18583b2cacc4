package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
	"github.com/ebbgate/ebbgate/internal/policy/order"
	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source/file"
	"github.com/ebbgate/ebbgate/internal/testkit"
	"github.com/ebbgate/ebbgate/internal/testkit/ca"
	"github.com/ebbgate/ebbgate/internal/testkit/upstream"
	"github.com/ebbgate/ebbgate/internal/translate"
	"github.com/ebbgate/ebbgate/test/e2e/command"
)

// guarded is a folder that uses every kind of secret, with destinations that accept, reject or cannot be had.
type guarded struct {
	folder
	secrets
	mounts string
	port   int
	routes []string
	echoes *upstream.Upstream // answers 401 and repeats the credentials it was sent
}

// echoing rejects every credential and repeats it in its body and its header, whole.
func echoing(w http.ResponseWriter, r *http.Request) {
	seen, _ := json.Marshal(r.Header) // a map of strings always marshals
	w.Header().Set("WWW-Authenticate", r.Header.Get("Authorization"))
	w.Header().Set("X-Echo", r.Header.Get("X-Api-Key"))
	w.WriteHeader(http.StatusUnauthorized)
	basic := strings.TrimPrefix(r.Header.Get("Authorization"), "Basic ")
	decoded, _ := base64.StdEncoding.DecodeString(basic) // no Basic: nothing to repeat
	_, _ = fmt.Fprintf(w, "%s\n%s\n%s\n%s\n", r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), seen, decoded)
}

func guard(t *testing.T) *guarded {
	g := &guarded{folder: newFolder(t), secrets: secrets{}, mounts: t.TempDir(), port: testkit.Ports(t, 1)[0]}
	authority := testkit.CA(t, "guard")
	leaf := testkit.Loopback(t, authority, "ok.test", "client-cert.test")
	quiet := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	ok := testkit.Upstream(t, upstream.Config{Certificate: leaf, Handler: quiet})
	g.echoes = testkit.Upstream(t, upstream.Config{Handler: http.HandlerFunc(echoing)})
	wrong := testkit.Upstream(t, upstream.Config{Certificate: testkit.Loopback(t, testkit.CA(t, "other"), "wrong.test")})

	listener := g.pair(t, "listener-pair", authority)
	objects := []string{root("root", authority), listener, g.pair(t, "client-pair", authority),
		gatewayOn("egress", g.port, fmt.Sprintf("- {name: https, port: %d, protocol: HTTPS, tls: {certificateRefs: [{name: listener-pair}]}}", testkit.Ports(t, 1)[0]))}
	add := func(name string, up *upstream.Upstream, tls, injector string, more ...string) {
		g.routes = append(g.routes, name)
		objects = append(objects, route(name), backend(name, name+".test", portOf(t, up.Addr()), tls), pinned(name, name+".test"),
			attached("CredentialInjector", name, injector))
		objects = append(objects, more...)
	}
	trusted := func(name string) string { return verified(name+".test", "root") }
	apiKey := func(secret string) string {
		return fmt.Sprintf("type: APIKey\n  apiKey: {secretRef: {name: %s}}", secret)
	}
	add("ok", ok, trusted("ok"), apiKey("ok"), secret("ok", "token", g.key("API key")))
	add("client-cert", ok, "mode: ClientAndServer, clientCertificateRef: {name: client-pair}, "+trusted("client-cert"), apiKey("ok"))
	add("mounted", g.echoes, plain, "type: APIKey\n  apiKey: {secretRef: {name: mounted, key: token}, header: X-Api-Key, prefix: \"pre \"}")
	add("rejected", g.echoes, plain, apiKey("rejected"), secret("rejected", "token", g.key("rejected key")))
	password := g.key("Basic password")
	add("basic", g.echoes, plain, "type: Basic\n  basic: {secretRef: {name: basic}}",
		strings.Replace(secret("basic", "username", "user", "password", password), "stringData:", "type: kubernetes.io/basic-auth\nstringData:", 1))
	g.add("Basic pair", base64.StdEncoding.EncodeToString([]byte("user:"+password)))
	add("per-client", g.echoes, plain, `type: APIKey
  apiKey: {secretRef: {name: common}}
  headers: [{name: X-Api-Key, secretRef: {name: header}}]
  perClient: [{clients: [{namespaces: [local]}], apiKey: {secretRef: {name: own}}}]`,
		secret("common", "token", g.key("common key")), secret("header", "token", g.key("header's secret")), secret("own", "token", g.key("client's own key")))
	add("wrong", wrong, trusted("wrong"), apiKey("wrong"), secret("wrong", "token", g.key("key for a destination that is not who it should be")))
	for i, value := range []string{"\r\nX-Evil: 1", "\x00", " ", "\u00e4\u2028"} { // values that no header may have
		name := fmt.Sprintf("bad-%d", i)
		add(name, g.echoes, plain, apiKey(name), secret(name, "token", g.key("bad value")+value))
	}
	objects = append(objects, secret("unused", "token", g.key("unused")))
	g.write("all.yaml", objects...)

	mounted := filepath.Join(g.mounts, "t", "mounted")
	if err := os.MkdirAll(mounted, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mounted, "token"), []byte(g.key("mounted key")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *guarded) pair(t *testing.T, name string, authority *ca.CA) string {
	text := certificateSecret(t, name, authority, "gateway.test")
	_, key, _ := strings.Cut(text, "tls.key: |\n")
	g.privateKey(name, strings.ReplaceAll(key, "    ", ""))
	return text
}

// breaks are edits that do not parse, or break a schema, around a secret.
func (g *guarded) breaks() map[string]string {
	head := "apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: t}\n"
	key := func(name string) string { return g.key("in an edit: " + name) }
	quoted := func(name string) string { return fmt.Sprintf("%q", key(name)) }
	plainText := func(name string) string { // what YAML reads unquoted
		value := "sk-" + strings.NewReplacer(`"`, "", "'", "", "&", "", "%", "", `\`, "", "<", "", " ", "", "+", "", "/", "").Replace(key(name))
		g.add("in an edit: "+name, value)
		return value
	}
	return map[string]string{
		"unclosed quote":    head + "stringData: {token: " + strings.TrimSuffix(quoted("unclosed quote"), `"`) + "}",
		"unclosed bracket":  head + "stringData: {token: " + quoted("unclosed bracket"),
		"tab":               head + "stringData:\n\ttoken: " + quoted("tab"),
		"no colon":          head + "stringData:\n  token " + quoted("no colon"),
		"no base64":         head + "data: {token: " + quoted("no base64") + "}",
		"list":              head + "stringData: {token: [" + quoted("list") + "]}",
		"instead of a map":  head + "stringData: " + quoted("instead of a map"),
		"twice":             head + "stringData: {token: " + quoted("twice") + ", token: " + quoted("twice, the second") + "}",
		"alias":             head + "stringData: {token: *" + plainText("alias") + "}",
		"tag":               head + "stringData: {token: !!int " + plainText("tag") + "}",
		"in metadata":       "apiVersion: v1\nkind: Secret\nmetadata: {name: broken, namespace: t, labels: [" + quoted("in metadata") + "]}",
		"not indented":      head + "stringData:\ntoken: " + plainText("not indented"),
		"line of a key":     head + "stringData:\n  token: |\n    -----BEGIN\n" + plainText("line of a key"),
		"JSON":              `{"apiVersion": "v1", "kind": "Secret", "stringData": {"token": ` + quoted("JSON") + `}`,
		"no kind":           "apiVersion: v1\nmetadata: {name: broken}\nstringData: {token: " + quoted("no kind") + "}",
		"kind misspelt":     "apiVersion: ebbgate.dev/v1alpha1\nkind: Secret\nmetadata: {name: broken}\nstringData: {token: " + quoted("kind misspelt") + "}",
		"foreign":           "apiVersion: other.dev/v1\nkind: Secret\nmetadata: {name: broken}\nspec: {token: " + quoted("foreign") + "}\n---\nkind: [",
		"version of core":   "apiVersion: v2\nkind: Secret\nmetadata: {name: broken, namespace: t}\nstringData: {token: " + quoted("version of core") + "}\n---\nkind: [",
		"immutable as text": head + "immutable: " + quoted("immutable as text"),
	}
}

// TestNoSecretIsShown collects all that processes print and serve, of runs that go well and badly, and searches it.
func TestNoSecretIsShown(t *testing.T) {
	g := guard(t)
	logs := t.TempDir()
	access, audit := filepath.Join(logs, "access"), filepath.Join(logs, "audit")
	p := run(t, g.folder, "--secrets", g.mounts, "--access-log", access, "--audit-log", audit, "--log-level", "debug", "--pprof")
	seen := map[string]string{}
	c := client(t)
	own := g.key("client's credential")
	answers := func(when string) {
		for _, name := range g.routes {
			for _, path := range []string{name, name + "/x?key=" + "sk"} {
				got := send(t, c, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/%s", g.port, path), "{}",
					"Authorization", "Bearer "+own, "X-Api-Key", own, "Cookie", "session="+own, "Proxy-Authorization", own, "Ebbgate-Hop", own)
				seen[when+": answer of "+path] = fmt.Sprint(got.status, got.header, got.body)
				g.expect(t, name, got)
			}
		}
		send(t, c, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/ok?api_key=%s", g.port, strings.Trim(core(own), "/")), "")
	}
	pages := func(when string) {
		for _, page := range []string{"/config_dump", "/problems", "/metrics", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/nowhere"} {
			seen[when+": admin "+page] = send(t, c, http.MethodGet, "http://"+p.admin+page, "").body
		}
		for _, page := range []string{"/readyz", "/metrics"} {
			seen[when+": health "+page] = send(t, c, http.MethodGet, "http://"+p.health+page, "").body
		}
	}
	answers("running")
	pages("running")
	breaks := g.breaks()
	for _, name := range slices.Sorted(maps.Keys(breaks)) {
		p.refuses(t, func() { g.write("broken.yaml", breaks[name]) })
		seen["problems of "+name] = send(t, c, http.MethodGet, "http://"+p.admin+"/problems", "").body
		for _, subcommand := range []string{"validate", "translate"} {
			seen[subcommand+" of "+name] = g.inspect(t, subcommand, 1)
		}
		p.refuses(t, func() { g.write("broken.yaml", "kind: [") })
	}
	p.reloads(t, func() { g.remove("broken.yaml"); g.write("more.yaml", secret("more", "token", g.key("added"))) })
	seen["validate"] = g.inspect(t, "validate", 1) // tells of the values that no header may have
	seen["translate"] = g.inspect(t, "translate", 0)
	answers("at the end")
	pages("at the end")
	p.ends(t)
	seen["stdout"], seen["stderr"] = p.Out.String(), p.Err.String()
	for name, path := range map[string]string{"access log": access, "audit log": audit} {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			t.Fatalf("%s: %d bytes, %v", name, len(text), err)
		}
		seen[name] = string(text)
	}
	if !strings.Contains(seen["audit log"], `"event":"provider_body"`) || !strings.Contains(seen["audit log"], "***") {
		t.Error("the audit log has no body of a provider, or none that was blanked")
	}
	if n := g.echoes.Heads(); n == 0 {
		t.Error("the destination that repeats credentials saw none")
	}
	for where, text := range seen {
		if text == "" && !strings.HasPrefix(where, "stdout") {
			t.Errorf("%s: nothing was collected", where)
		}
		g.absent(t, where, text)
	}
}

// expect holds the answers to what is documented.
func (g *guarded) expect(t *testing.T, name string, got answer) {
	t.Helper()
	switch {
	case name == "ok" || name == "client-cert":
		got.ok(t)
	case name == "wrong":
		got.is(t, http.StatusBadGateway, "tls_verification_failed")
	case strings.HasPrefix(name, "bad-"):
		got.is(t, http.StatusInternalServerError, "credential_unavailable")
	default:
		got.is(t, http.StatusBadGateway, "credential_rejected")
		if got.header.Get("Www-Authenticate")+got.header.Get("X-Echo") != "" {
			t.Errorf("%s: the destination's header fields came through: %v", name, got.header)
		}
	}
}

// inspect is what validate or translate prints.
func (g *guarded) inspect(t *testing.T, subcommand string, code int) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(binary), subcommand, "-f", g.dir, "--secrets", g.mounts)
	out, _ := cmd.CombinedOutput() // the exit code tells
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, not %d:\n%s", subcommand, got, code, out)
	}
	return string(out)
}

// refusedKey runs the built-in configuration with a key that is none.
func refusedKey(t *testing.T, value string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Getenv(binary), "run", "--admin", "", "--health", "")
	cmd.Env = append(os.Environ(), "OPENAI_API_KEY="+value)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestNoKeyOfTheEnvironmentIsShown runs the built-in configuration with keys that YAML and templates could trip over.
func TestNoKeyOfTheEnvironmentIsShown(t *testing.T) {
	s := secrets{}
	for name, tail := range map[string]string{"usual": "", "template": "{{ .Key }}", "lines": "\n---\nkind: [", "control": "\x01"} {
		value := s.key(name) + tail
		if name == "lines" || name == "control" { // no key, and refused at once
			out, err := refusedKey(t, value)
			if err == nil || !strings.Contains(out, "OPENAI_API_KEY: not a key") {
				t.Errorf("%s: %v", name, err)
			}
			s.absent(t, name, out)
			continue
		}
		ports := testkit.Ports(t, 3)
		local := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
		p := command.Start(t, os.Getenv(binary), []string{"OPENAI_API_KEY=" + value, "ANTHROPIC_API_KEY=", "GEMINI_API_KEY="},
			"run", "--port", fmt.Sprint(ports[0]), "--admin", local(1), "--health", local(2), "--log-level", "debug")
		p.Await(t, "Ebbgate serves")
		text := ""
		for _, url := range []string{"http://" + local(1) + "/config_dump", "http://" + local(1) + "/problems", "http://" + local(2) + "/metrics",
			fmt.Sprintf("http://localhost:%d/openai/%%2e%%2e/x", ports[0]), fmt.Sprintf("http://localhost:%d/nowhere", ports[0])} {
			text += send(t, client(t), http.MethodGet, url, "").body
		}
		if code := p.Stop(t); code != 0 {
			t.Errorf("%s: exit code %d", name, code)
		}
		s.absent(t, name, text+p.Out.String()+p.Err.String())
	}
}

// TestNoSecretIsPrintable prints what the gateway is made of in every way that a log or an error could.
func TestNoSecretIsPrintable(t *testing.T) {
	g := guard(t)
	files, err := file.New(file.Config{Paths: []string{g.dir}, SecretsDir: g.mounts, Schema: schema.New()})
	if err != nil {
		t.Fatal(err)
	}
	snapshot, problems := files.Load(t.Context())
	if snapshot == nil {
		t.Fatal(problems)
	}
	held := 0
	for _, o := range snapshot.Objects {
		if s, ok := o.(*corev1.Secret); ok {
			held += len(s.Data)
		}
	}
	if held < 10 {
		t.Fatalf("the snapshot has %d values of Secrets", held)
	}
	result := translate.New(translate.Config{Kinds: order.Kinds()}).Apply(snapshot)
	printed := func(where string, values ...any) {
		t.Helper()
		for _, v := range values {
			text := fmt.Sprintf("%#v\n%+v\n%v\n%s\n%x\n%q\n%d", v, v, v, v, v, v, v)
			if asJSON, err := json.Marshal(v); err == nil {
				text += string(asJSON)
			}
			if asYAML, err := yaml.Marshal(v); err == nil {
				text += string(asYAML)
			}
			g.absent(t, where, text)
		}
	}
	printed("plan", result.Plan, *result.Plan)
	named := map[string]*plan.Secret{}
	for _, s := range result.Plan.Secrets {
		printed("plan's secret", s, *s, s.Data)
		named[s.Name] = s
	}
	for _, x := range result.Plan.Backends {
		printed("plan's backend", x, *x)
	}
	for _, x := range result.Plan.Rules {
		printed("plan's rule", x, *x)
	}
	for _, s := range result.Statuses {
		printed("status", s, *s)
	}
	printed("problems", result.Problems)
	kinds := map[string]*policy.Kind{}
	for _, k := range order.Kinds() {
		kinds[k.Name] = k
	}
	stages := 0
	for _, pol := range result.Plan.Policies {
		printed("policy", pol, *pol, pol.Config)
		env := policy.Env{Policy: pol.Name, Secret: func(name string) *plan.Secret { return named[name] }}
		for _, build := range []func(policy.Env, any) (any, error){kinds[pol.Kind].Apply, kinds[pol.Kind].Restrict} {
			if build == nil {
				continue
			}
			stage, err := build(env, pol.Config)
			if stage != nil {
				stages++
			}
			printed("stage of "+pol.Name, stage, err)
			printed("settled stage of "+pol.Name, dereferenced(stage))
		}
	}
	if stages < len(g.routes) {
		t.Errorf("%d stages", stages)
	}
}

// dereferenced is what a pointer leads to, so that fmt goes into it.
func dereferenced(v any) any {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
		return r.Elem().Interface()
	}
	return v
}
