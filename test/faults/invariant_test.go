package faults

import (
	"fmt"
)

// broken are the promises that an exchange breaks. They hold whatever the page says.
func broken(c cell, o outcome) (list []string) {
	must := func(ok bool, words string, args ...any) {
		if !ok {
			list = append(list, fmt.Sprintf(words, args...))
		}
	}
	f := &faults[c.fault]
	must(o.begun, "no answer at all")
	must(o.whole || o.broken != "", "an answer that ends as if it were whole")
	must(!o.whole || o.view.status >= 400 || o.from == "other" || f.answers, "a cut answer is taken for a whole one")
	must(o.view.status == o.ended.status, "the client sees %d, the log has %d", o.view.status, o.ended.status)
	must(o.view.reason == string(o.ended.reason) || !o.whole, "the client reads %q, the log has %q", o.view.reason, o.ended.reason)
	must(o.whole || o.aborted != "", "the log does not say that the answer was cut")
	must(o.view.reason != "bad_request" && o.view.reason != "internal", "the client, or the gateway, is blamed for the far side")
	must(!o.partial, "the second backend got a part of the body")
	list = append(list, brokenCounts(c, o)...)
	return append(list, brokenRepeats(c, o)...)
}

// brokenCounts holds what arrived against what was logged.
func brokenCounts(c cell, o outcome) (list []string) {
	must := func(ok bool, words string, args ...any) {
		if !ok {
			list = append(list, fmt.Sprintf(words, args...))
		}
	}
	f := &faults[c.fault]
	sent, other, proven := 0, 0, true
	for _, a := range o.attempts {
		switch {
		case a.backend == c.name("b"):
			other++
		case a.written > 0 && a.address:
			sent++
		}
		proven = proven && (a.class == "Unsent" || a.backend == c.name("b"))
		must(a.written > 0 || a.class != "Reset" && a.class != "Timeout", "%s, and nothing was written", a.class)
	}
	must(o.second == other, "the second backend was asked %d times in %d attempts", o.second, other)
	must(o.first <= sent && (o.first == sent || f.deaf), "the first backend was asked %d times in %d attempts", o.first, sent)
	must(requests[c.request].idempotent() || o.first+o.second <= 1 || proven, "a POST was perhaps done more than once")
	return list
}

// brokenRepeats holds each attempt against the one before it.
func brokenRepeats(c cell, o outcome) (list []string) {
	must := func(ok bool, words string, args ...any) {
		if !ok {
			list = append(list, fmt.Sprintf(words, args...))
		}
	}
	u, r := setups[c.setup], requests[c.request]
	for i, a := range o.attempts[:max(len(o.attempts)-1, 0)] {
		next := o.attempts[i+1]
		must(a.class == "Unsent" || r.idempotent(), "a POST was sent again after %s", a.class)
		must(a.class == "Unsent" || next.backend == a.backend, "another backend was asked after %s", a.class)
		must(u.retry || faults[c.fault].pooled || next.backend != a.backend, "sent again to the same backend, which nobody asked for")
	}
	if len(o.attempts) == 0 {
		return append(list, "no attempt")
	}
	last := o.attempts[len(o.attempts)-1]
	retries := 2 // by default, all of them to other backends
	if u.retry {
		retries = 1
	}
	missed := u.two && last.class == "Unsent" && len(o.attempts) <= retries && last.backend != c.name("b")
	must(!missed, "provably untaken, and the second backend was not asked")
	return list
}
