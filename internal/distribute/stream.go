package distribute

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	rejectionsType = typeURL + "Rejections"
	maxRejections  = 100 // of one answer
	maxWords       = 512 // bytes of one message
	minKey         = 20  // characters of a proxy's key for Secrets' versions
)

// discovery is the server's side of a stream.
type discovery = discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer

// stream is one proxy.
type stream struct {
	gateway string
	key     string
	have    map[string]string // what it has, or is being sent: names and versions
	secrets map[string]keyed  // versions of the Secrets that it has

	// Under the Server's mu.
	answered   *generation // the newest that it has acknowledged or rejected
	rejected   bool
	rejections []Rejection
}

// keyed is a Secret's version for one proxy.
type keyed struct {
	item    *item
	version string
}

func (st *stream) version(i *item) string {
	if i.kind != secrets {
		return i.version
	}
	k := st.secrets[i.name]
	if k.item != i {
		k = keyed{i, secretVersion(st.key, i.payload)}
		st.secrets[i.name] = k
	}
	return k.version
}

// DeltaAggregatedResources serves one proxy what it asks for: its plan, or workloads. Of the plan each generation is sent
// whole; while the proxy has not answered, none is sent, and then the newest.
func (s *Server) DeltaAggregatedResources(d discovery) error {
	gateway, err := s.authenticate(d.Context())
	if err != nil {
		return err
	}
	most := s.most(gateway)
	if !s.enter(gateway, most) {
		return s.tooMany(gateway, most)
	}
	defer s.exit(gateway)
	first, err := d.Recv()
	if err != nil {
		return err
	}
	if first.GetTypeUrl() == workloadsURL {
		return s.follow(d, gateway)
	}
	st := &stream{gateway: gateway, secrets: map[string]keyed{}, key: first.GetNode().GetId(), have: first.GetInitialResourceVersions()}
	if first.GetTypeUrl() != typeURL || len(st.key) < minKey {
		return status.Error(codes.InvalidArgument, "this is no proxy of this gateway")
	}
	if !s.join(st, most) {
		return s.tooMany(gateway, most)
	}
	defer s.config.Changed(gateway)
	defer s.leave(st)
	if st.have == nil {
		st.have = map[string]string{}
	}
	s.config.Changed(gateway)
	s.config.Logger.Info("proxy connected", "gateway", gateway)
	err = s.feed(d, st)
	s.config.Logger.Info("proxy gone", "gateway", gateway, "error", err)
	return err
}

// feed sends a proxy generations until the stream ends.
func (s *Server) feed(d discovery, st *stream) error {
	answers, ended := answersOf(d)
	var sent *generation
	nonce, answered := 0, true
	for {
		newest, published := s.current(st.gateway)
		if answered && newest != nil && newest != sent {
			err := newest.messages(st.have, st.version, func(m *discoveryv3.DeltaDiscoveryResponse) error {
				nonce++
				m.Nonce, m.SystemVersionInfo = strconv.Itoa(nonce), strconv.FormatUint(newest.number, 10)
				return d.Send(m)
			})
			if err != nil {
				return err
			}
			sent, answered = newest, false
		}
		select {
		case <-published:
		case err := <-ended:
			return err
		case r := <-answers:
			if answered || r.GetResponseNonce() != strconv.Itoa(nonce) {
				continue // of no message that ends a generation
			}
			answered = true
			s.heard(st, sent, r.GetErrorDetail())
		}
	}
}

// answersOf reads a stream. What it reads nobody waits for once the stream has ended.
func answersOf(d discovery) (<-chan *discoveryv3.DeltaDiscoveryRequest, <-chan error) {
	answers, ended := make(chan *discoveryv3.DeltaDiscoveryRequest), make(chan error, 1)
	go func() {
		for {
			r, err := d.Recv()
			if errors.Is(err, io.EOF) {
				err = nil
			}
			if r == nil {
				ended <- err
				return
			}
			select {
			case answers <- r:
			case <-d.Context().Done():
				ended <- d.Context().Err()
				return
			}
		}
	}()
	return answers, ended
}

func (s *Server) heard(st *stream, g *generation, detail *statusv3.Status) {
	if detail == nil {
		s.answer(st, g, false, nil)
		return
	}
	list := readRejections(detail)
	for _, r := range list {
		s.config.Logger.Warn("proxy rejects", "gateway", st.gateway, "resource", r.Resource, "message", r.Message)
	}
	s.answer(st, g, true, list)
}

// authenticate finds whose proxy it is. What is wrong with a token only we are told.
func (s *Server) authenticate(ctx context.Context) (gateway string, err error) {
	ctx, cancel := context.WithTimeout(ctx, authenticateTime)
	defer cancel()
	list := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(list) == 1 {
		if token, ok := strings.CutPrefix(list[0], "Bearer "); ok && token != "" {
			if gateway, err = s.config.Authenticate(ctx, token); err == nil && gateway != "" {
				return gateway, nil
			}
		}
	}
	if times, due := s.refused.due(); due {
		s.config.Logger.Warn("proxy refused: its token is not accepted", "error", err, "times", times)
	}
	return "", status.Error(codes.Unauthenticated, "the token is not accepted")
}

// writeRejections makes the error_detail of an answer.
func writeRejections(list []Rejection) *statusv3.Status {
	list = bounded(list)
	text, err := json.Marshal(list)
	if err != nil {
		text = nil
	}
	return &statusv3.Status{
		Code: int32(codes.InvalidArgument), Message: "not everything of the generation is in force",
		Details: []*anypb.Any{{TypeUrl: rejectionsType, Value: text}},
	}
}

// readRejections reads an error_detail, which may be anybody's.
func readRejections(detail *statusv3.Status) []Rejection {
	var list []Rejection
	for _, d := range detail.GetDetails() {
		if d.GetTypeUrl() == rejectionsType && json.Unmarshal(d.GetValue(), &list) != nil {
			list = nil
		}
	}
	if len(list) == 0 {
		list = []Rejection{{Message: detail.GetMessage()}}
	}
	return bounded(list)
}

func bounded(list []Rejection) []Rejection {
	out := make([]Rejection, 0, min(len(list), maxRejections))
	for _, r := range list[:min(len(list), maxRejections)] {
		out = append(out, Rejection{cut(r.Resource), cut(r.Message)})
	}
	return out
}

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxWords)], "") }
