package attach

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestIntersect(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if Intersect(a, b) != want || Intersect(b, a) != want {
			t.Errorf("%q and %q: want %v", a, b, want)
		}
	}
	f("", "", true)
	f("", "a.test", true)
	f("", "*.test", true)
	f("a.test", "a.test", true)
	f("a.test", "A.TEST", true)
	f("a.test", "b.test", false)
	f("*.test", "a.test", true)
	f("*.test", "a.b.test", true)
	f("*.test", "test", false)
	f("*.b.test", "a.test", false)
	f("*.test", "*.b.test", true)
	f("*.a.test", "*.b.test", false)
	f("*.test", "atest", false)
	f("*.best", "*.test", false)
}

func TestPrecede(t *testing.T) {
	object := func(age time.Duration, namespace, name string) metav1.Object {
		o := &metav1.ObjectMeta{Namespace: namespace, Name: name}
		if age != 0 {
			o.CreationTimestamp = metav1.NewTime(time.Unix(1e9, 0).Add(-age))
		}
		return o
	}
	f := func(first, second metav1.Object) {
		t.Helper()
		if Precede(first, second) >= 0 || Precede(second, first) <= 0 || Precede(first, first) != 0 {
			t.Errorf("%s does not precede %s", first.GetName(), second.GetName())
		}
	}
	f(object(2, "z", "z"), object(1, "a", "a"))
	f(object(1, "a", "z"), object(1, "b", "a"))
	f(object(1, "a", "a"), object(1, "a", "b"))
	f(object(0, "a", "a"), object(0, "a", "b"))
	f(object(0, "a", "b"), object(0, "aa", "a"))
}
