package file

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/schema"
)

func TestSplit(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "",
		"# only\n---\n---\n# comments\n":   "",
		"a: 1":                             "0:a: 1",
		"a: 1\n---\nb: 1\n":                "0:a: 1\n|1:---\nb: 1\n",
		"\uFEFF---\r\na: 1\r\n---\r\nb":    "0:---\r\na: 1\r\n|2:---\r\nb",
		"--- {a: 1}\n---\tb\n":             "0:--- {a: 1}\n|1:---\tb\n",
		"%YAML 1.1\n# x\n---\na: 1\n":      "0:%YAML 1.1\n# x\n---\na: 1\n",
		"---\n%a\n":                        "0:---\n%a\n",
		"a: 1\n...\n# x\nb: 1\n":           "0:a: 1\n...\n|2:# x\nb: 1\n",
		"a: |\n  ---\n  x\n---x: 1\n":      "0:a: |\n  ---\n  x\n---x: 1\n",
		"---\n---\na: 1\n---\n\n---\nb: 1": "1:---\na: 1\n|5:---\nb: 1",
	} {
		var got []string
		for _, c := range split([]byte(text)) {
			got = append(got, fmt.Sprintf("%d:%s", c.above, c.text))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%q\ngot  %q\nwant %q", text, strings.Join(got, "|"), want)
		}
	}
}

func TestAliases(t *testing.T) {
	good := parse([]byte("a: &a {x: 1}\nb: *a\nc: {<<: *a, z: 2}\n"))
	if len(good.faults) != 0 || fmt.Sprint(good.objects[0].value) != "map[a:map[x:1] b:map[x:1] c:map[x:1 z:2]]" {
		t.Errorf("aliases: %v %v", good.faults, good.objects[0].value)
	}
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), ", "))
	}
	for text, want := range map[string]string{
		bomb.String():      "aliases make the document too large",
		"a: &a\n  b: *a\n": "an anchor contains itself",
		"a: " + strings.Repeat("[", 150) + strings.Repeat("]", 150): "nested too deeply",
		"a: *b\n":         "names no anchor",
		"? {a: b}\n: c\n": "a key is an object",
		"a: .inf\n":       "not valid YAML",
	} {
		d := parse([]byte(text))
		if len(d.objects) != 0 || len(d.faults) != 1 || !strings.Contains(d.faults[0].message, want) {
			t.Errorf("%.40q: %+v", text, d.faults)
		}
	}
}

func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	for text, want := range map[string]int{
		"a: b: c\n":                   1,
		"a: 1\nb: c: d\n":             2,
		"a: 1\nb: 2\n c: 3\n":         3,
		"a: 1\nb\nc: 3\n":             2,
		"a:\n- 1\n- 2\n b: 1\nc: 1\n": 4,
		"a:\n  b: 1\n c: 2\n":         3,
		"a: [1, 2\nb: 3\n":            2,
		"a: {x: 1\nb: 3\n":            2,
		"a: 1\n\tb: 2\n":              2,
		"a: 1\nb: @x\n":               2,
		"a: 1\nb: \"\\q\"\n":          2,
		"{\"a\": {\n  \"b\"":          2,
		"{\"a\": 1,\n\t\"b\" 2}\n":    2,
	} {
		d := parse([]byte(text))
		if len(d.faults) != 1 || d.faults[0].line != want || d.faults[0].mend == "" {
			t.Errorf("%q: %+v, want line %d", text, d.faults, want)
		}
	}
}

func TestSyntaxErrorsNameTheirCause(t *testing.T) {
	for text, want := range map[string]string{
		"a:\n\tb: 1\n":                         "a tab stands where YAML wants spaces",
		"a:\n  b: 1\n\tc: 2\n":                 "a tab stands where YAML wants spaces",
		"a:\n- \t@x\n":                         "a tab stands where YAML wants spaces",
		"a: 1\nb: @x\n":                        "a value begins with a character that YAML reserves",
		"{a: 1,\n\tb: [}\n":                    "not valid YAML",
		"{\"a\": {\n  \"b\"":                   "not valid JSON: it is cut short",
		"{\"a\": {\n  \"b\": \"c":              "not valid JSON: it is cut short",
		"[{\"a\":\n\n":                         "not valid JSON: it is cut short",
		"{\"a\": 1,\n\t\"b\" 2}\n":             "not valid JSON",
		"{\"a\": 1,\n\t\"b\": \"hunter2\\q\"}": "not valid JSON",
	} {
		d := parse([]byte(text))
		if len(d.faults) != 1 || !strings.Contains(d.faults[0].message, want) || strings.Contains(d.faults[0].message+d.faults[0].mend, "hunter2") {
			t.Errorf("%q: %+v, want %s", text, d.faults, want)
		}
	}
}

func TestFind(t *testing.T) {
	d := parse([]byte("spec:\n  rules:\n  - name: a\n    matches:\n    - path: x\n  - &b\n    name: b\n  - *b\nmetadata:\n  annotations:\n    a.b/c: d\n    a: e\ndata:\n  tls.crt: x\n"))
	for field, want := range map[string]int{
		"": 1, "spec": 1, "spec.rules": 2, "spec.rules[0]": 3, "spec.rules[0].matches[0].path": 5, "spec.rules[0].matches[7]": 4,
		"spec.rules[1].name": 7, "spec.rules[2].name": 7, "spec.rules[0].filters[0].type": 3, "spec.none": 1,
		"metadata.annotations[a.b/c]": 11, `metadata.annotations["a.b/c"]`: 11, "metadata.annotations.a.b/c": 11, "metadata.annotations.a": 12,
		"data.tls.crt": 14, "data[tls.crt]": 14, "[": 1, "spec.rules[x]": 2, "spec.rules[": 2,
	} {
		if got := find(d.objects[0].node, field).Line; got != want {
			t.Errorf("%q is in line %d, want %d", field, got, want)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(openai))
	f.Add([]byte("a: &a [*a]\n---\n{\"a\": [1, 0x1F, 1e400]}\n...\n%YAML 1.1\n---\n<<: [{a: b}]\n"))
	f.Add([]byte("apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, stringData: {a: b}, metadata: {name: x}}]"))
	s, err := New(Config{Paths: []string{"."}, Schema: schema.New()})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		chunks := split(content)
		if len(content) > 1<<16 {
			return
		}
		rows := strings.Count(string(content), "\n") + 1
		for _, c := range chunks {
			d := parse(c.text)
			for _, fault := range d.faults {
				if fault.line < 1 || fault.line+c.above > rows+1 || fault.message == "" {
					t.Errorf("fault %+v in a document of %d lines", fault, rows)
				}
			}
			for _, w := range d.objects {
				found := s.check(t.Context(), w.value)
				for _, fault := range found.faults(w) {
					if fault.message == "" {
						t.Errorf("a fault without a message: %+v", fault)
					}
				}
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		text := strings.Replace(openai, "name: openai", fmt.Sprintf("name: openai-%d", i), 1)
		put(b, dir, fmt.Sprintf("%d.yaml", i), text)
	}
	validator := schema.New()
	load := func(b *testing.B, s *Source) {
		if snapshot, problems := s.Load(b.Context()); len(problems) > 0 || len(snapshot.Objects) != 1000 {
			b.Fatal(lines(problems))
		}
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			s, err := New(Config{Paths: []string{dir}, Schema: validator})
			if err != nil {
				b.Fatal(err)
			}
			load(b, s)
		}
	})
	b.Run("again", func(b *testing.B) {
		s, err := New(Config{Paths: []string{dir}, Schema: validator})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			load(b, s)
		}
	})
}

// BenchmarkStart is a process's first load, the compiling of the schemas included.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	put(b, dir, "quickstart.yaml", quickstart)
	for b.Loop() {
		s, err := New(Config{Paths: []string{dir}, Schema: schema.New()})
		if err != nil {
			b.Fatal(err)
		}
		if _, problems := s.Load(b.Context()); len(problems) > 0 {
			b.Fatal(lines(problems))
		}
	}
}

const quickstart = openai + `---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: ebbgate}
spec: {controllerName: ebbgate.dev/egress-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: egress, namespace: ai}
spec:
  gatewayClassName: ebbgate
  listeners: [{name: http, port: 8080, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: chat, namespace: ai}
spec:
  parentRefs: [{name: egress}]
  rules:
  - backendRefs: [{group: ebbgate.dev, kind: Backend, name: openai}]
---
apiVersion: v1
kind: Namespace
metadata: {name: ai}
---
apiVersion: v1
kind: Secret
metadata: {name: openai, namespace: ai}
stringData: {api-key: sk-1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: roots, namespace: ai}
data: {ca.crt: x}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: edge, namespace: ai}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: edge}]
  to: [{group: "", kind: Secret}]
`
