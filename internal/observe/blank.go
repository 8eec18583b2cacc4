package observe

import (
	"bytes"

	"github.com/ebbgate/ebbgate/internal/plan"
)

// echo is how many bytes in a row a text must share with a secret to count as a part of it. Providers quote a key's
// first and last few characters, which identify it and give nothing away.
const echo = 6

// Blank makes the blank argument of AuditBody: every run of at least six bytes that the body shares with a secret, or
// with a shorter secret whole, becomes asterisks. A secret that was sent in another form (in base64 for Basic) is to be
// given in that form too.
func Blank(secrets ...plan.Sensitive) func([]byte) []byte {
	return func(body []byte) []byte {
		out := bytes.Clone(body)
		for _, s := range secrets {
			secret := s.Reveal()
			n := min(len(secret), echo)
			if n == 0 {
				continue
			}
			for i := 0; i+n <= len(body); i++ {
				if bytes.Contains(secret, body[i:i+n]) {
					stars(out[i : i+n])
				}
			}
		}
		return out
	}
}

func stars(b []byte) {
	for i := range b {
		b[i] = '*'
	}
}
