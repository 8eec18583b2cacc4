package e2e_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// secrets are the values that nobody may see, by what they are.
type secrets map[string][]string

// key makes a secret that every encoding writes differently. No part of it is chance's.
func (s secrets) key(name string) string {
	value := "sk/" + rand.Text() + `+<"&'%\ ` + rand.Text() + "=="
	s.add(name, value)
	return value
}

// add notes every form in which a value could show: whole, and its first random part alone.
func (s secrets) add(name, value string) {
	quoted, _ := json.Marshal(value) // strings always marshal
	bytes := []byte(value)
	list := make([]string, len(bytes))
	for i, b := range bytes {
		list[i] = fmt.Sprintf("0x%x", b)
	}
	numbers := strings.Trim(fmt.Sprint(bytes), "[]")
	forms := []string{
		value, core(value), strings.Trim(string(quoted), `"`), strings.Trim(fmt.Sprintf("%q", value), `"`),
		url.QueryEscape(value), url.PathEscape(value),
		hex.EncodeToString(bytes), strings.ToUpper(hex.EncodeToString(bytes)),
		numbers, strings.ReplaceAll(numbers, " ", ","), strings.Join(list, ", "),
	}
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 { // behind a prefix, such as the user name of Basic, it is encoded at another place
			text := encoding.EncodeToString(append(make([]byte, shift), bytes...))
			forms = append(forms, text[shift+1:len(text)-3])
		}
	}
	s[name] = append(s[name], forms...)
}

// core is a part of a value that is long enough to be nobody else's.
func core(value string) string {
	const length = 16
	if len(value) < 3+length {
		return value
	}
	return value[3 : 3+length]
}

// privateKey notes a PEM key: its lines, and its bytes.
func (s secrets) privateKey(name, text string) {
	block, _ := pem.Decode([]byte(text))
	s[name] = append(s[name], hex.EncodeToString(block.Bytes[40:72]), strings.Trim(fmt.Sprint(block.Bytes[40:72]), "[]"))
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > 40 && !strings.HasPrefix(line, "--") {
			s[name] = append(s[name], line, base64.StdEncoding.EncodeToString([]byte(line))[:40])
		}
	}
}

// absent asserts that a text shows none of the secrets.
func (s secrets) absent(t *testing.T, where, text string) {
	t.Helper()
	for name, forms := range s {
		for i, form := range forms {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%s shows the secret %q (form %d): …%q…", where, name, i, text[max(0, at-200):min(len(text), at+len(form)+20)])
				break
			}
		}
	}
}

// TestSecretForms holds the search itself: it finds what it should.
func TestSecretForms(t *testing.T) {
	s := secrets{}
	value := s.key("key")
	f := func(text string) {
		t.Helper()
		for _, form := range s["key"] {
			if strings.Contains(text, form) {
				return
			}
		}
		t.Errorf("not found in %s", text)
	}
	f("a " + value + " b")
	f(value[:24])
	f(base64.StdEncoding.EncodeToString([]byte(value)))
	f(base64.StdEncoding.EncodeToString([]byte("user:" + value)))
	f(base64.URLEncoding.EncodeToString([]byte("x" + value)))
	f(fmt.Sprintf("%x", value))
	f(fmt.Sprintf("%v", []byte(value)))
	f(fmt.Sprintf("%#v", []byte(value)))
	f(fmt.Sprintf("%q", value))
	f(url.QueryEscape(value))
	for _, form := range s["key"] {
		if len(form) < 16 {
			t.Errorf("form %q is short enough to be chance", form)
		}
	}
}
