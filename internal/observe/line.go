package observe

import (
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// Buffers in which lines are made. Those that a hostile exchange has blown up are not kept.
const (
	lineCapacity = 2 << 10
	lineKept     = 16 << 10
)

var linePool = sync.Pool{New: func() any {
	b := make([]byte, 0, lineCapacity)
	return &b
}}

func getLine() *[]byte { return linePool.Get().(*[]byte) }

func putLine(b *[]byte) {
	if cap(*b) > lineKept {
		return
	}
	*b = (*b)[:0]
	linePool.Put(b)
}

// appendNumber appends key and value.
func appendNumber(b []byte, key string, value int64) []byte {
	return strconv.AppendInt(append(b, key...), value, 10)
}

// appendMillis appends key and the duration in milliseconds with three decimals.
func appendMillis(b []byte, key string, d time.Duration) []byte {
	micros := max(d, 0).Microseconds()
	b = strconv.AppendInt(append(b, key...), micros/1000, 10)
	return appendThousandths(b, int(micros%1000))
}

// appendTime appends the time in RFC 3339 with milliseconds, in UTC. time.AppendFormat takes five times as long, for it
// reads the layout anew each time.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 { // no RFC 3339, but no lie either
		return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
	}
	hour, minute, second := t.Clock()
	b = appendPair(appendPair(b, year/100), year%100)
	b = appendPair(append(b, '-'), int(month))
	b = appendPair(append(b, '-'), day)
	b = appendPair(append(b, 'T'), hour)
	b = appendPair(append(b, ':'), minute)
	b = appendPair(append(b, ':'), second)
	return append(appendThousandths(b, t.Nanosecond()/1e6), 'Z')
}

const digits = "0123456789"

// appendPair appends the two digits of n, which is under 100.
func appendPair(b []byte, n int) []byte { return append(b, digits[n/10], digits[n%10]) }

// appendThousandths appends a point and the three digits of n, which is under 1,000.
func appendThousandths(b []byte, n int) []byte {
	return appendPair(append(b, '.', digits[n/100]), n%100)
}

// appendAddress appends a quoted address and port; what is none is empty.
func appendAddress(b []byte, a netip.AddrPort) []byte {
	switch {
	case !a.IsValid():
		return append(b, `""`...)
	case a.Addr().Zone() != "":
		return appendString(b, a.String(), maxShort)
	}
	return append(a.AppendTo(append(b, '"')), '"')
}
