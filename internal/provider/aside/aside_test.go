package aside

import (
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

var now = time.Date(2026, 11, 6, 8, 49, 7, 0, time.UTC)

// header reads fields, one a line.
func header(fields string) *exchange.Header {
	var h exchange.Header
	for line := range strings.Lines(fields) {
		name, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return &h
}

func TestOf(t *testing.T) {
	f := func(want time.Duration, fields string) {
		t.Helper()
		got, ok := Of(header(fields), 429, now)
		if got != want || ok != (want > 0) {
			t.Errorf("%v, %t, want %v:\n%s", got, ok, want, fields)
		}
	}
	f(0, "")
	f(30*time.Second, "Retry-After: 30")
	f(1500*time.Millisecond, "retry-after: 1.5")
	f(30*time.Second, "Retry-After: Fri, 06 Nov 2026 08:49:37 GMT")
	f(30*time.Second, "Retry-After: Friday, 06-Nov-26 08:49:37 GMT")
	f(30*time.Second, "Retry-After: Fri Nov  6 08:49:37 2026")
	f(250*time.Millisecond, "retry-after-ms: 250\nRetry-After: 1")
	f(250*time.Millisecond, "Retry-After: 1\nx-ms-retry-after-ms: 250")
	f(time.Hour, "Retry-After: 86400")
	f(time.Hour, "Retry-After: "+strings.Repeat("9", 400))
	f(time.Hour, "Retry-After: Fri, 06 Nov 2099 08:49:37 GMT")
	f(20*time.Second, "Retry-After: 10\nRetry-After: 20\nRetry-After: 5")

	for _, none := range []string{"", "0", "-1", "+1", "1e3", "0x10", "1_0", "inf", "NaN", "5, 5", "soon", "1 2", ".", "1.2.3", "10s", "Fri, 06 Nov 2026 08:49:07 GMT", "Fri, 06 Nov 2026 08:48:37 GMT"} {
		f(0, "Retry-After: "+none)
		f(0, "Retry-After-Ms: "+none)
		f(7*time.Second, "Retry-After-Ms: "+none+"\nRetry-After: 7")
		f(7*time.Second, "Retry-After: "+none+"\nx-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 7s")
	}

	t.Log("limits that are used up")
	f(6*time.Minute, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0s\nx-ratelimit-remaining-tokens: 5\nx-ratelimit-reset-tokens: 10m")
	f(2*time.Second, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 12ms\nx-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 2s")
	f(9*time.Second, "X-RateLimit-Reset-Tokens: 9\nX-RateLimit-Remaining-Tokens: 0")
	f(time.Hour, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 24h0m0s")
	f(time.Second, "Retry-After: 1\nx-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-remaining-requests: 1\nx-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-remaining-requests:\nx-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-remaining-requests: -1\nx-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-requests: 9s")
	f(0, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: -9s")
	f(0, "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 9s, 9s")
	f(53*time.Second, "anthropic-ratelimit-requests-remaining: 0\nanthropic-ratelimit-requests-reset: 2026-11-06T08:50:00Z")
	f(53*time.Second, "Anthropic-RateLimit-Input-Tokens-Reset: 2026-11-06T09:50:00+01:00\nanthropic-ratelimit-input-tokens-remaining: 0\nanthropic-ratelimit-tokens-remaining: 0")
	f(0, "anthropic-ratelimit-output-tokens-remaining: 10\nanthropic-ratelimit-output-tokens-reset: 2026-11-06T08:50:00Z")
	f(0, "anthropic-ratelimit-tokens-remaining: 0\nanthropic-ratelimit-tokens-reset: 2026-11-06T08:40:00Z")
	f(0, "anthropic-ratelimit-tokens-remaining: 0\nanthropic-ratelimit-tokens-reset: tomorrow")
	f(0, "anthropic-ratelimit-reset: 2026-11-06T08:50:00Z\nanthropic-ratelimit-remaining: 0")
}

func TestOnlyRefusalsOfTheSenderCount(t *testing.T) {
	for status, want := range map[int]bool{200: false, 301: false, 400: false, 413: false, 429: true, 500: true, 503: true, 529: true} {
		if wait, ok := Of(header("Retry-After: 5"), status, now); ok != want || ok != (wait == 5*time.Second) {
			t.Errorf("%d: %v, %t", status, wait, ok)
		}
	}
}

func FuzzOf(f *testing.F) {
	f.Add("Retry-After: Fri, 06 Nov 2026 08:49:37 GMT\nretry-after-ms: 5")
	f.Add("x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 6m0s")
	f.Add("anthropic-ratelimit-tokens-remaining: 0\nanthropic-ratelimit-tokens-reset: 2026-11-06T08:50:00Z")
	f.Fuzz(func(t *testing.T, fields string) {
		h := header(fields)
		if wait, ok := Of(h, 429, now); wait < 0 || wait > Max || ok != (wait > 0) {
			t.Errorf("%v, %t", wait, ok)
		}
	})
}
