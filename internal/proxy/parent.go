package proxy

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/proxy/hop"
)

// maxDepth is how many gateways a request may have passed when it comes here.
const maxDepth = 4

// hopName is what a Gateway is called in Via and Ebbgate-Hop. Without a written one no two may have the same, of this
// process or of another: a request of either would be taken for one that comes round.
func (s *Server) hopName(g *plan.Gateway) string {
	sum := sha256.Sum256([]byte(s.config.ID + "/" + g.Name))
	return cmp.Or(g.HopName, "ebbgate-"+hex.EncodeToString(sum[:8]))
}

// passed judges the way up to here: what a trusted gateway says of it must be readable, and it must have an end.
func (j *journey) passed(unreadable error) *exchange.Refusal {
	switch {
	case unreadable != nil:
		refusal := exchange.Refuse(exchange.BadRequest, "what the gateway before this one says of the request cannot be read")
		refusal.Log = words(unreadable)
		return refusal
	case hop.Passed(&j.x.Request.Header, j.port.gateway.name):
		return exchange.Refuse(exchange.LoopDetected, "the request has passed this gateway before, as its Via says")
	case j.x.Hop.Depth > maxDepth:
		return exchange.Refuse(exchange.LoopDetected, "the request has passed more gateways than any chain should have")
	}
	return nil
}
