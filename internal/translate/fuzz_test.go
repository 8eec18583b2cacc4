package translate

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	corev1 "k8s.io/api/core/v1"

	"github.com/ebbgate/ebbgate/internal/schema"
	"github.com/ebbgate/ebbgate/internal/source"
	"github.com/ebbgate/ebbgate/internal/translate/attach"
)

// FuzzTranslate translates whatever decodes, valid or not: nothing panics, nothing secret is printed, and what comes
// after another snapshot is what comes alone.
func FuzzTranslate(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	pair := newPair(f)
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(part(archive, "input.yaml"), len(file)%2 == 0)
	}
	validator := schema.New()
	config := Config{Kinds: kinds(), Now: func() time.Time { return epoch }}
	f.Fuzz(func(t *testing.T, input string, kubernetes bool) {
		objects, _, err := decode(validator, pair.Replace(input))
		if err != nil {
			return
		}
		config := config
		config.Kubernetes = kubernetes
		mark(objects)
		s := &source.Snapshot{Objects: objects}
		result := New(config).Apply(s)
		printed, err := json.Marshal([]any{result.Plan, result.Statuses, result.Problems})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(printed), marker) {
			t.Error("what a Secret holds came out")
		}
		used := New(config)
		used.Apply(estate(2))
		if again := used.Apply(s); text(t, again) != text(t, result) {
			t.Error("a translator with a history says something else")
		}
	})
}

// marker ends everything that a Secret or ConfigMap holds.
const marker = "\nmarked-as-secret-7f3a"

func mark(objects map[string]source.Object) {
	for _, object := range objects {
		switch o := object.(type) {
		case *corev1.Secret:
			o.Data, o.StringData = attach.Data(o), nil
			for name := range o.Data {
				o.Data[name] = append(o.Data[name], marker...)
			}
		case *corev1.ConfigMap:
			for name := range o.Data {
				o.Data[name] += marker
			}
		}
	}
}
