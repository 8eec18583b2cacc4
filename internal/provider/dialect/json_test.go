package dialect

import (
	"bytes"
	"encoding/json"
	"testing"
)

// searchesAsDecoded compares members and elements with those that encoding/json finds.
func searchesAsDecoded(t *testing.T, in []byte) {
	t.Helper()
	v := value(in)
	var object map[string]json.RawMessage
	var array []json.RawMessage
	switch {
	case json.Unmarshal(in, &object) == nil && object != nil:
		last := map[string]value{} // of keys that come twice the decoder has the last
		for k, member := range v.members() {
			var key string
			if err := json.Unmarshal([]byte(`"`+string(k)+`"`), &key); err != nil {
				t.Fatalf("key %q: %v", k, err)
			}
			last[key] = member
		}
		if len(last) != len(object) {
			t.Errorf("%d members, want %d: %s", len(last), len(object), in)
		}
		for key, want := range object {
			if !bytes.Equal(last[key], want) {
				t.Errorf("%q: %s, want %s", key, last[key], want)
			}
		}
	case json.Unmarshal(in, &array) == nil && array != nil:
		n := 0
		for element := range v.elements() {
			if n >= len(array) || !bytes.Equal(element, array[n]) {
				t.Errorf("element %d: %s of %s", n, element, in)
			}
			n++
		}
		if n != len(array) {
			t.Errorf("%d elements, want %d: %s", n, len(array), in)
		}
	default:
		for range v.members() {
		}
		for range v.elements() {
		}
		v.get("a").only("b")
	}
}

func TestSearch(t *testing.T) {
	for _, in := range []string{
		`{}`, ` { } `, `{"a":1}`, "{\n\t\"a\" : [ 1 , {\"b\":\"}\"} ] ,\r\n \"c\":\"x\\\\\" , \"d\":true}", `{"a":{"a":{"a":[]}},"b":""}`,
		`[]`, ` [ ] `, `[1,"]",[[]],{"a":[1]},null,-1.5e3]`, `"text"`, `null`, `12`, ``, `{"a":1,}`, `[1,]`, `{"a" 1}`, `[`, `{"a":"\"}`,
	} {
		searchesAsDecoded(t, []byte(in))
	}
	v := value(`{"type":"x","n":12,"s":"","o":{ },"l":[ ],"z":null,"f":false,"t":[0]}`)
	if string(v.get("type").text()) != "x" || v.get("n").number() != 12 || v.get("type").number() != -1 || v.get("none") != nil || v.get("n").text() != nil {
		t.Error("get, text or number")
	}
	for key, empty := range map[string]bool{"s": true, "o": true, "l": true, "z": true, "f": true, "none": true, "type": false, "n": false, "t": false} {
		if v.get(key).empty() != empty {
			t.Errorf("%s: empty is %t", key, !empty)
		}
	}
	if !v.only("type", "n", "t") || v.only("type", "n") || !v.get("z").only() || v.get("t").only() || v.get("type").only() {
		t.Error("only")
	}
	if deep := value(`{"a":` + string(bytes.Repeat([]byte("["), 1<<20))); deep.get("a") != nil {
		t.Error("found what does not end")
	}
}
