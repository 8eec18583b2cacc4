package http1

import (
	"sync"
	"unsafe"
)

const (
	// bufferSize lets a POST of 8 KiB lie in the buffer with its head, and is a size class of Go's allocator.
	bufferSize = 12 << 10
	// bodyRoom is the least room behind a head: below it, reading a body through the buffer would cost a system call
	// for every few bytes.
	bodyRoom = 2 << 10
)

// buffers hands out arrays, not slices, because a slice in a sync.Pool costs an allocation each time.
var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// take is a buffer of at least size bytes.
func take(size int) []byte {
	if size <= bufferSize {
		return buffers.Get().(*[bufferSize]byte)[:]
	}
	return make([]byte, size)
}

// give ends the life of a buffer and of every view of it. Those that grew for a big head go to the garbage collector.
func give(b []byte) {
	poison(b)
	if len(b) == bufferSize {
		buffers.Put((*[bufferSize]byte)(b))
	}
}

func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
