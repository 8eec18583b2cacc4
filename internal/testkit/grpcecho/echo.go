// Package grpcecho is a gRPC far side on loopback, over TLS or plain, with a service of all four kinds of call that repeats
// messages and metadata, fails as it is asked to, and records what it saw; and a client of it. Messages are bare bytes:
// what is under test is what carries them.
//
// What a call wants is said in its metadata:
//
//	echo-NAME     comes back in the header
//	trail-NAME    comes back in the trailer
//	want-code     the number of the status to end with, once all messages were taken; want-message is its message and its detail
//	want-count    how many messages Server answers with; 3 where it is absent
//	want-wait     send nothing and wait until the call is over
//
// Tests call it.
package grpcecho

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The service and its methods, as a path has them: /ebbgate.test.Echo/Unary.
const (
	Service = "ebbgate.test.Echo"
	Unary   = "Unary"  // the message
	Client  = "Client" // all messages as one
	Stream  = "Server" // the message, as often as it is wanted
	Bidi    = "Bidi"   // each message as it comes
)

// Path is a method's.
func Path(method string) string { return "/" + Service + "/" + method }

const defaultCount = 3

func (s *Server) service() *grpc.ServiceDesc {
	stream := func(name string, client, server bool, answer func(call) error) grpc.StreamDesc {
		return grpc.StreamDesc{
			StreamName: name, ClientStreams: client, ServerStreams: server,
			Handler: func(_ any, stream grpc.ServerStream) error { return s.handle(Path(name), stream, answer) },
		}
	}
	return &grpc.ServiceDesc{
		ServiceName: Service,
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			stream(Unary, false, false, call.unary), // to gRPC's wire a call with one message each way is a stream like others
			stream(Client, true, false, call.collect),
			stream(Stream, false, true, call.repeat),
			stream(Bidi, true, true, call.echo),
		},
	}
}

// call is one call under way.
type call struct {
	grpc.ServerStream
	wants metadata.MD
	seen  func(message []byte)
}

// handle runs a call and records it.
func (s *Server) handle(path string, stream grpc.ServerStream, answer func(call) error) error {
	ctx := stream.Context()
	md, _ := metadata.FromIncomingContext(ctx)
	seen := s.begin(ctx, path, md)
	err := func() error {
		if err := stream.SetHeader(taken(md, "echo-")); err != nil {
			return err
		}
		stream.SetTrailer(taken(md, "trail-"))
		if len(md.Get("want-wait")) > 0 {
			<-ctx.Done()
			return status.FromContextError(ctx.Err()).Err()
		}
		return answer(call{stream, md, func(m []byte) { s.change(func() { seen.Messages = append(seen.Messages, m) }) }})
	}()
	s.change(func() { seen.Over, seen.Code, seen.Cause = true, status.Code(err), ctx.Err() })
	return err
}

func taken(md metadata.MD, prefix string) metadata.MD {
	out := metadata.MD{}
	for name, values := range md {
		if strings.HasPrefix(name, prefix) {
			out[name] = values
		}
	}
	return out
}

// receive is the next message; io.EOF after the last.
func (c call) receive() ([]byte, error) {
	var m []byte
	if err := c.RecvMsg(&m); err != nil {
		return nil, err
	}
	c.seen(m)
	return m, nil
}

// end is the status that is wanted.
func (c call) end() error {
	code := c.want("want-code", 0)
	if code == 0 {
		return nil
	}
	text := strings.Join(c.wants.Get("want-message"), "")
	detailed, err := status.New(codes.Code(code), text).WithDetails(wrapperspb.String(text))
	if err != nil {
		return err
	}
	return detailed.Err()
}

func (c call) want(name string, otherwise int) int {
	if n, err := strconv.Atoi(strings.Join(c.wants.Get(name), "")); err == nil {
		return n
	}
	return otherwise
}

func (c call) unary() error {
	m, err := c.receive()
	if err == nil {
		err = c.end()
	}
	if err == nil {
		err = c.SendMsg(m)
	}
	return err
}

func (c call) collect() error {
	var all bytes.Buffer
	for {
		m, err := c.receive()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		all.Write(m)
	}
	if err := c.end(); err != nil {
		return err
	}
	return c.SendMsg(all.Bytes())
}

func (c call) repeat() error {
	m, err := c.receive()
	for range c.want("want-count", defaultCount) {
		if err != nil {
			return err
		}
		err = c.SendMsg(m)
	}
	if err != nil {
		return err
	}
	return c.end()
}

func (c call) echo() error {
	for {
		m, err := c.receive()
		if errors.Is(err, io.EOF) {
			return c.end()
		}
		if err == nil {
			err = c.SendMsg(m)
		}
		if err != nil {
			return err
		}
	}
}

// timeout is how long a call may take by what its client said; zero where it said nothing.
func timeout(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return 0
}
