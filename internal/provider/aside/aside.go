// Package aside reads in an answer how long its sender asks to be left alone: Retry-After, and the fields of their own
// that AI providers send beside it or in its place.
//
// It sets nothing aside and keeps no state. The data path calls it, after an answer that refuses.
package aside

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Max is the longest time that a sender is believed.
const Max = time.Hour

// Of is how long from now the sender of an answer is to be left alone, at most Max. It is false where the answer does
// not say so: only 429 and statuses of 500 and more are about the sender and not about the request. What says most
// exactly wins: milliseconds, then Retry-After, then when a used-up limit resets; of several that differ the longest.
// A value that is no time in the future is as if it were absent.
func Of(h *exchange.Header, status int, now time.Time) (time.Duration, bool) {
	if status != http.StatusTooManyRequests && status < 500 {
		return 0, false
	}
	var exact, after, reset time.Duration
	for name, value := range h.All() {
		switch {
		case exchange.EqualFold(name, "Retry-After-Ms"), exchange.EqualFold(name, "X-Ms-Retry-After-Ms"):
			// Azure's (@azure/core-rest-pipeline, throttlingRetryStrategy); OpenAI's SDKs read the first.
			exact = max(exact, number(value, time.Millisecond))
		case exchange.EqualFold(name, "Retry-After"): // RFC 9110, section 10.2.3
			after = max(after, number(value, time.Second), date(value, now))
		default:
			reset = max(reset, resets(h, name, value, now))
		}
	}
	for _, wait := range [...]time.Duration{exact, after, reset} {
		if wait > 0 {
			return wait, true
		}
	}
	return 0, false
}

// resets reads a field that says when a limit is whole again, if another says that nothing is left of the limit.
//
// OpenAI and who follows it: x-ratelimit-remaining-tokens: 0, x-ratelimit-reset-tokens: 6m0s
// (https://developers.openai.com/api/docs/guides/rate-limits); Azure has seconds there. Anthropic:
// anthropic-ratelimit-tokens-remaining: 0, anthropic-ratelimit-tokens-reset: a time of RFC 3339
// (https://platform.claude.com/docs/en/api/rate-limits).
func resets(h *exchange.Header, name, value string, now time.Time) time.Duration {
	if limit, ok := cutPrefix(name, "X-Ratelimit-Reset-"); ok {
		if !usedUp(h, "x-ratelimit-remaining-", limit, "") {
			return 0
		}
		if wait, err := time.ParseDuration(value); err == nil {
			return bound(wait)
		}
		return number(value, time.Second)
	}
	limit, ok := cutPrefix(name, "Anthropic-Ratelimit-")
	if n := len(limit) - len("-reset"); ok && n > 0 && strings.EqualFold(limit[n:], "-reset") && usedUp(h, "anthropic-ratelimit-", limit[:n], "-remaining") {
		if at, err := time.Parse(time.RFC3339, value); err == nil {
			return bound(at.Sub(now))
		}
	}
	return 0
}

// usedUp reports whether a field of that name, in three parts, is zero.
func usedUp(h *exchange.Header, before, limit, after string) bool {
	for name, value := range h.All() {
		rest, ok := cutPrefix(name, before)
		if !ok || len(rest) != len(limit)+len(after) || strings.Trim(value, "0") != "" || value == "" {
			continue
		}
		if strings.EqualFold(rest[:len(limit)], limit) && strings.EqualFold(rest[len(limit):], after) {
			return true
		}
	}
	return false
}

func cutPrefix(name, prefix string) (string, bool) {
	if len(name) < len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return "", false
	}
	return name[len(prefix):], true
}

// number is a count of units, in digits with or without a fraction, as some send.
func number(value string, unit time.Duration) time.Duration {
	if strings.Trim(value, ".0123456789") != "" {
		return 0
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil && n == 0 {
		return 0
	}
	return time.Duration(min(n*float64(unit), float64(Max)))
}

// date is the time until an HTTP date, in any of its three forms (RFC 9110, section 5.6.7).
func date(value string, now time.Time) time.Duration {
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return bound(at.Sub(now))
}

func bound(wait time.Duration) time.Duration { return max(0, min(wait, Max)) }
