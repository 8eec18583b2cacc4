package hop

import (
	"fmt"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// String writes the message as a field's value. What cannot be written whole is an error: a next gateway that is told of
// fewer regions lets more pass. A client whose name cannot be written is one without a name.
func (m *Message) String() (string, error) {
	if m.Name == "" || !spelled(m.Name, "") || m.Depth < 1 || m.Attempt < 1 || m.Retries < 0 {
		return "", fmt.Errorf("write %s: %w", Name, errMalformed)
	}
	if max(m.Depth, m.Attempt, m.Retries) > maxNumber || len(m.Regions) > maxLists {
		return "", fmt.Errorf("write %s: %w", Name, errTooLarge)
	}
	cluster, namespace, serviceAccount := m.Cluster, m.Namespace, m.ServiceAccount
	if !spelled(cluster, "/") || !spelled(namespace, "") || !spelled(serviceAccount, "") {
		cluster, namespace, serviceAccount = "", exchange.Unknown, exchange.Unknown
	}
	b := make([]byte, 0, 256)
	b = quote(append(b, "name="...), m.Name)
	b = strconv.AppendInt(append(b, ", depth="...), int64(m.Depth), 10)
	b = strconv.AppendInt(append(b, ", attempt="...), int64(m.Attempt), 10)
	b = strconv.AppendInt(append(b, ", retries="...), int64(m.Retries), 10)
	b = append(quote(append(quote(append(quote(append(b, ", client=("...), cluster), ' '), namespace), ' '), serviceAccount), ')')
	for i, patterns := range m.Regions {
		if err := checkPatterns(patterns); err != nil {
			return "", fmt.Errorf("write %s: %w", Name, err)
		}
		if i == 0 {
			b = append(b, ", regions=("...)
		} else {
			b = append(b, ' ')
		}
		b = quote(b, patterns...)
	}
	if len(m.Regions) > 0 {
		b = append(b, ')')
	}
	if len(b) > maxField {
		return "", fmt.Errorf("write %s: %w", Name, errTooLarge)
	}
	return string(b), nil
}

// quote appends texts as one string, with spaces between them.
func quote(b []byte, texts ...string) []byte {
	b = append(b, '"')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, text...)
	}
	return append(b, '"')
}
