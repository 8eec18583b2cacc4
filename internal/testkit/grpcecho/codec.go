package grpcecho

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// codec takes messages for the bytes that they are, whatever schema they follow.
type codec struct{}

// Name is empty: the content type stays application/grpc.
func (codec) Name() string { return "" }

// Marshal takes a []byte.
func (codec) Marshal(message any) (mem.BufferSlice, error) {
	p, ok := message.([]byte)
	if !ok {
		return nil, unknown(message)
	}
	return mem.BufferSlice{mem.SliceBuffer(p)}, nil
}

// Unmarshal fills a *[]byte.
func (codec) Unmarshal(data mem.BufferSlice, message any) error {
	p, ok := message.(*[]byte)
	if !ok {
		return unknown(message)
	}
	*p = data.Materialize()
	return nil
}

func unknown(message any) error { return fmt.Errorf("%T is no message: messages are bytes", message) }
