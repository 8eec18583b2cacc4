package health

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/ebbgate/ebbgate/internal/proxy/dial"
)

// The messages of grpc.health.v1 are two of one field each, so that no library of protobuf is worth linking:
// HealthCheckRequest{string service = 1}, HealthCheckResponse{ServingStatus status = 1; SERVING = 1}.
const (
	healthPath    = "/grpc.health.v1.Health/Check"
	fieldService  = 1<<3 | 2 // its number and the wire type of bytes
	fieldStatus   = 1 << 3   // and that of varints, 0
	serving       = 1
	framePrefix   = 5       // of a message in a body: compressed or not, and its length
	mostOfMessage = 4 << 10 // the message may grow fields
)

func (c *Check) askGRPC(ctx context.Context, conn *dial.Conn) error {
	r, err := c.request(ctx, conn, http.MethodPost, healthPath, healthRequest(c.Active.Service))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("TE", "trailers")
	return c.exchange(ctx, conn, r, judgeGRPC)
}

func judgeGRPC(answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the check was answered %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostOfMessage))
	if err != nil {
		return fmt.Errorf("read the check's answer: %w", err)
	}
	// An answer without a message has its status in the head (gRPC over HTTP/2, Trailers-Only).
	if status := cmp.Or(answer.Trailer.Get("Grpc-Status"), answer.Header.Get("Grpc-Status")); status != "0" {
		return fmt.Errorf("the check was answered with grpc-status %q", status)
	}
	status, err := servingStatus(body)
	if err == nil && status != serving {
		err = fmt.Errorf("the service's status is %d", status)
	}
	return err
}

// healthRequest is a body that asks for a service's health.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = binary.AppendUvarint([]byte{fieldService}, uint64(len(service)))
		message = append(message, service...)
	}
	return slices.Concat(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message) //nolint:gosec // a name
}

var errMessage = errors.New("the check's answer is no HealthCheckResponse")

// servingStatus reads the body of an answer. Fields that are not known are passed over, as protobuf has it.
func servingStatus(body []byte) (status uint64, err error) {
	if len(body) < framePrefix || body[0] != 0 || int64(binary.BigEndian.Uint32(body[1:])) != int64(len(body)-framePrefix) {
		return 0, errMessage
	}
	for rest := body[framePrefix:]; len(rest) > 0; {
		tag, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, errMessage
		}
		value, length := fieldValue(tag, rest[n:])
		if length < 0 {
			return 0, errMessage
		}
		if tag == fieldStatus {
			status = value
		}
		rest = rest[n+length:]
	}
	return status, nil
}

// fieldValue is the value of a varint field, and the length of any; -1 where it is cut off or of a type that is none.
func fieldValue(tag uint64, b []byte) (value uint64, length int) {
	const varint, fixed64, bytes, fixed32 = 0, 1, 2, 5
	switch tag & 7 {
	case varint, bytes:
		value, n := binary.Uvarint(b)
		length = n
		if tag&7 == bytes {
			if n <= 0 || value > uint64(len(b[n:])) {
				return 0, -1
			}
			length += int(value) //nolint:gosec // within b
		}
		if n <= 0 {
			return 0, -1
		}
		return value, length
	case fixed64:
		length = 8
	case fixed32:
		length = 4
	default:
		return 0, -1
	}
	if length > len(b) {
		return 0, -1
	}
	return 0, length
}
