package http1

import (
	"sync"
	"unsafe"
)

const (
	// smallSize holds most heads: it is what a stream keeps while nothing flows. bufferSize lets a POST of 8 KiB lie in the
	// buffer with its head. All three are size classes of Go's allocator.
	smallSize  = 2 << 10
	middleSize = 4 << 10
	bufferSize = 12 << 10
	// bodyRoom is the least room behind a head: below it, reading a body through the buffer would cost a system call
	// for every few bytes.
	bodyRoom = 1 << 10
)

// Pools of arrays, not slices, because a slice in a sync.Pool costs an allocation each time.
var (
	smalls  = sync.Pool{New: func() any { return new([smallSize]byte) }}
	middles = sync.Pool{New: func() any { return new([middleSize]byte) }}
	buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}
)

// take is a buffer of at least size bytes.
func take(size int) []byte {
	switch {
	case size <= smallSize:
		return smalls.Get().(*[smallSize]byte)[:]
	case size <= middleSize:
		return middles.Get().(*[middleSize]byte)[:]
	case size <= bufferSize:
		return buffers.Get().(*[bufferSize]byte)[:]
	}
	return make([]byte, size)
}

// give ends the life of a buffer and of every view of it. Those that grew for a big head go to the garbage collector.
func give(b []byte) {
	poison(b)
	switch len(b) {
	case smallSize:
		smalls.Put((*[smallSize]byte)(b))
	case middleSize:
		middles.Put((*[middleSize]byte)(b))
	case bufferSize:
		buffers.Put((*[bufferSize]byte)(b))
	}
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
