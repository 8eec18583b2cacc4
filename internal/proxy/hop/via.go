package hop

import (
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Passed reports whether Via has a gateway's name as a received-by (RFC 9110, section 7.6.3): the request comes round.
// Comments are no matter: whoever hides a name in one, or writes ours, harms nobody but itself.
func Passed(header *exchange.Header, name string) bool {
	for _, f := range header.Fields() {
		if exchange.EqualFold(f.Name, "Via") && passed(f.Value, name) {
			return true
		}
	}
	return false
}

func passed(value, name string) bool {
	for value != "" {
		var element string
		element, value, _ = strings.Cut(value, ",")
		element = strings.TrimLeft(element, " \t")
		protocol := strings.IndexAny(element, " \t")
		if protocol < 0 {
			continue
		}
		by := strings.TrimLeft(element[protocol:], " \t")
		if end := strings.IndexAny(by, " \t("); end >= 0 {
			by = by[:end]
		}
		if exchange.EqualFold(by, name) {
			return true
		}
	}
	return false
}
