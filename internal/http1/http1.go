// Package http1 is Ebbgate's HTTP/1.1 codec for both sides: it parses heads into an exchange, writes heads, and reads
// and writes body framing (length, chunked with trailers, until close). It is no client and no server: it opens,
// closes and times nothing, knows no route and no policy, and judges no hop-by-hop field. The accept, dial and forward
// steps of the proxy call it.
//
// It is stricter than anything it stands between (RFC 9112, section 11): what two parsers could read in two ways is
// refused, and the connection is not to be used again. Strings of a parsed message are views of the Reader's buffer;
// the Reader says when they end.
package http1

import "cmp"

// Limits bound what a peer may make a Reader hold. A field that is zero or less stands for its default.
type Limits struct {
	HeadBytes      int // a whole head, with its last empty line; 64 KiB
	Fields         int // fields of a head, and of a trailer section; 128
	Target         int // bytes of a request's target; 16 KiB (RFC 9112, section 3, wants 8,000 at least)
	ChunkExtension int // bytes of one chunk's extension; 256
	TrailerBytes   int // a whole trailer section; 8 KiB
}

// The credit that chunk extensions have over the data they come with, so that no sender can make us read without end
// for little data.
const extensionCredit = 8 << 10

// The defaults of Limits.HeadBytes and Limits.Fields.
const (
	DefaultHeadBytes = 64 << 10
	DefaultFields    = 128
)

func (l Limits) withDefaults() Limits {
	return Limits{
		HeadBytes:      cmp.Or(max(l.HeadBytes, 0), DefaultHeadBytes),
		Fields:         cmp.Or(max(l.Fields, 0), DefaultFields),
		Target:         cmp.Or(max(l.Target, 0), 16<<10),
		ChunkExtension: cmp.Or(max(l.ChunkExtension, 0), 256),
		TrailerBytes:   cmp.Or(max(l.TrailerBytes, 0), 8<<10),
	}
}

// Error is what a peer did wrong. After one the connection is of no more use. Status is the HTTP status to answer with:
// 400, 414, 431, 501 or 505 for a request, 502 for whatever is wrong with a response. Text never quotes the peer.
type Error struct {
	Status int
	Text   string
}

func (e *Error) Error() string { return e.Text }
