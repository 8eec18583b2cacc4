package credential

import (
	"net/url"
	"slices"
	"strings"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// The places where clients put credentials, which clientCredentials: Strip empties.
var (
	clientHeaders = [...]string{
		"Authorization", "Cookie", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "X-Amz-Security-Token",
		"Ocp-Apim-Subscription-Key",
	}
	clientParameters = [...]string{"key", "api_key", "api-key", "apikey", "access_token", "subscription-key"}
)

// ClientHeaders are the headers that clientCredentials: Strip removes.
func ClientHeaders() []string { return slices.Clone(clientHeaders[:]) }

// ClientParameters are the query parameters that clientCredentials: Strip removes, in whatever case.
func ClientParameters() []string { return slices.Clone(clientParameters[:]) }

// strip removes what a client sent as its credentials.
func strip(a *exchange.Attempt) {
	a.Header.Filter(keepHeader)
	if at := strings.IndexByte(a.Path, '?'); at >= 0 {
		a.Path = stripQuery(a.Path, at)
	}
}

func keepHeader(f exchange.Field) bool {
	for _, name := range clientHeaders {
		if exchange.EqualFold(f.Name, name) {
			return false
		}
	}
	return true
}

// stripQuery is the target without the parameters that carry keys; it is the same string where there are none. What
// stays is not touched, its order and its escapes neither.
func stripQuery(target string, at int) string {
	found := false
	for rest, more := target[at+1:], true; more && !found; {
		var parameter string
		parameter, rest, more = strings.Cut(rest, "&")
		found = isCredential(parameter)
	}
	if !found {
		return target
	}
	kept := make([]string, 0, 8)
	for _, parameter := range strings.Split(target[at+1:], "&") {
		if !isCredential(parameter) {
			kept = append(kept, parameter)
		}
	}
	if len(kept) == 0 {
		return target[:at]
	}
	return target[:at+1] + strings.Join(kept, "&")
}

func isCredential(parameter string) bool {
	name, _, _ := strings.Cut(parameter, "=")
	if strings.Contains(name, "%") {
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
	}
	for _, known := range clientParameters {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}
