package plan

import "testing"

func TestBlank(t *testing.T) {
	blank := Blank(NewSensitive([]byte("sk-0123456789abcdef")), NewSensitive([]byte("pin")), NewSensitive(nil))
	f := func(text, want string) {
		t.Helper()
		in := []byte(text)
		if got := string(blank(in)); got != want || string(in) != text {
			t.Errorf("%q: %q, want %q; the text given is %q now", text, got, want, in)
		}
	}
	f("", "")
	f("nothing here", "nothing here")
	f("key sk-0123456789abcdef!", "key *******************!")
	f("sk-0...abcdef", "sk-0...******")
	f("sk-01...bcdef", "sk-01...bcdef")
	f("a pin", "a ***")
}
