package http1

import (
	"math/bits"
	"strconv"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

// Room that FrameChunk wants around the data.
const (
	ChunkBefore = 10 // eight digits and a line end
	ChunkAfter  = 2
)

// FrameChunk frames the n bytes of data that stand in buf at ChunkBefore, without moving them, and gives the part of
// buf to be written. A caller reads a body into buf[ChunkBefore:len(buf)-ChunkAfter] and writes what comes back in one
// call. Of no data it makes no chunk, because an empty one would end the body. n is below 4 GiB.
func FrameChunk(buf []byte, n int) []byte {
	if n == 0 {
		return nil
	}
	start := ChunkBefore - 2 - hexDigits(n)
	strconv.AppendUint(buf[start:start], uint64(n), 16) //nolint:gosec // a length is not negative
	copy(buf[ChunkBefore-2:], "\r\n")
	copy(buf[ChunkBefore+n:ChunkBefore+n+ChunkAfter], "\r\n")
	return buf[start : ChunkBefore+n+ChunkAfter]
}

func hexDigits(n int) int { return (bits.Len(uint(n)) + 3) / 4 }

// AppendChunk appends p as one chunk, and nothing where p is empty.
func AppendChunk(dst, p []byte) []byte {
	if len(p) == 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(len(p)), 16)
	dst = append(dst, "\r\n"...)
	dst = append(dst, p...)
	return append(dst, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body, with the trailers, which may be nil. Those that must not be
// trailers are dropped: HTTP/2 may have brought them. With an error, which wraps ErrUnwritable, dst comes back as it
// was, and the body must be broken off.
func AppendLastChunk(dst []byte, trailer *exchange.Header) ([]byte, error) {
	start := len(dst)
	dst = append(dst, "0\r\n"...)
	if trailer != nil {
		for _, f := range trailer.Fields() {
			if ForbiddenTrailer(f.Name) {
				continue
			}
			var err error
			if dst, err = appendField(dst, f); err != nil {
				return dst[:start], err
			}
		}
	}
	return append(dst, "\r\n"...), nil
}
