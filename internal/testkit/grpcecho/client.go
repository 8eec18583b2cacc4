package grpcecho

import (
	"context"
	"fmt"

	"google.golang.org/grpc"
)

// Caller calls the service, itself or through what stands before it.
type Caller struct{ *grpc.ClientConn }

// Dial makes one. The target is gRPC's own form of an address, as "passthrough:///127.0.0.1:443"; the options say at least
// with which transport credentials.
func Dial(target string, options ...grpc.DialOption) (*Caller, error) {
	options = append(options, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(codec{}), grpc.MaxCallRecvMsgSize(maxMessage)))
	connection, err := grpc.NewClient(target, options...)
	if err != nil {
		return nil, fmt.Errorf("dial gRPC server: %w", err)
	}
	return &Caller{connection}, nil
}

// Unary makes a call of one message each way.
func (c *Caller) Unary(ctx context.Context, message []byte, options ...grpc.CallOption) ([]byte, error) {
	var answer []byte
	err := c.Invoke(ctx, Path(Unary), message, &answer, options...)
	return answer, err
}

// Stream opens a call of any method.
func (c *Caller) Stream(ctx context.Context, method string, options ...grpc.CallOption) (Exchange, error) {
	description := grpc.StreamDesc{ClientStreams: method == Client || method == Bidi, ServerStreams: method == Stream || method == Bidi}
	stream, err := c.NewStream(ctx, &description, Path(method), options...)
	return Exchange{stream}, err
}

// Exchange is a call under way.
type Exchange struct{ grpc.ClientStream }

// Send sends messages.
func (e Exchange) Send(messages ...string) error {
	for _, m := range messages {
		if err := e.SendMsg([]byte(m)); err != nil {
			return err
		}
	}
	return nil
}

// Receive is the next message; io.EOF where the call ended well.
func (e Exchange) Receive() (string, error) {
	var m []byte
	err := e.RecvMsg(&m)
	return string(m), err
}
