package duration

import (
	"testing"
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/ebbgate/ebbgate/internal/policy"
)

type refs struct {
	policy.References
	invalid []string
}

func (r *refs) Invalid(field, _, _ string) { r.invalid = append(r.invalid, field) }

func TestTranslate(t *testing.T) {
	f := func(written string, want time.Duration, invalid bool) {
		t.Helper()
		r := &refs{}
		got := Translate(r, "spec.ttl.min", new(gwapiv1.Duration(written)))
		if (len(r.invalid) > 0) != invalid || (got == nil) != invalid || got != nil && *got != want {
			t.Errorf("%s: %v, invalid %v", written, got, r.invalid)
		}
	}
	f("1m30s", 90*time.Second, false)
	f("0s", 0, false)
	f("-1s", 0, true)
	f("soon", 0, true)
	if Translate(&refs{}, "f", nil) != nil {
		t.Error("nothing written is something")
	}
}

func TestLay(t *testing.T) {
	place := 5 * time.Second
	if Lay(&place, nil); place != 5*time.Second {
		t.Error("what was not written was laid")
	}
	if Lay(&place, new(time.Duration)); place != 0 {
		t.Error("a written zero was not laid")
	}
}
