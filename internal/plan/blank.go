package plan

import "bytes"

// echo is how many bytes in a row a text must share with a secret to count as a part of it. Providers quote a key's
// first and last few characters, which identify it and give nothing away.
const echo = 6

// Blank makes a function that copies a text and turns every run of at least six bytes that it shares with a secret, or
// with a shorter secret whole, into asterisks. A secret that was sent in another form (in base64 for Basic) is to be
// given in that form too. The function holds the secrets where no print of it can reach.
func Blank(secrets ...Sensitive) func([]byte) []byte {
	return func(text []byte) []byte {
		out := bytes.Clone(text)
		for _, s := range secrets {
			secret := s.Reveal()
			n := min(len(secret), echo)
			if n == 0 {
				continue
			}
			for i := 0; i+n <= len(text); i++ {
				if bytes.Contains(secret, text[i:i+n]) {
					copy(out[i:i+n], "******")
				}
			}
		}
		return out
	}
}
