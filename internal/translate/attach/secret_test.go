package attach

import (
	"bytes"
	"testing"

	"github.com/ebbgate/ebbgate/internal/testkit"
)

func TestCertificates(t *testing.T) {
	one := testkit.CA(t, "one").PEM()
	for name, bundle := range map[string]struct {
		text string
		want bool
	}{
		"one":                       {string(one), true},
		"two, with words between":   {string(one) + "the other:\n" + string(testkit.CA(t, "two").PEM()), true},
		"none":                      {"words", false},
		"one, and half of another":  {string(one) + string(one[:len(one)/2]), false},
		"one, and one that is torn": {string(one) + string(bytes.Replace(one, []byte("\n"), []byte("\n*"), 2)), false},
		"something else":            {string(bytes.ReplaceAll(one, []byte("CERTIFICATE"), []byte("PUBLIC KEY"))), false},
	} {
		if got := certificates([]byte(bundle.text)); got != bundle.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
