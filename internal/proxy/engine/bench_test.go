package engine

import (
	"fmt"
	"testing"

	"github.com/ebbgate/ebbgate/internal/exchange"
	"github.com/ebbgate/ebbgate/internal/plan"
	"github.com/ebbgate/ebbgate/internal/policy"
)

// BenchmarkRequest is the Request step of so many policies.
func BenchmarkRequest(b *testing.B) {
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("of %d", n), func(b *testing.B) {
			built := 0
			var policies []*plan.Policy
			for i := range n {
				policies = append(policies, sample(fmt.Sprint(i), config{Deny: "/denied"}, at(plan.TargetGateway, "n/g")))
			}
			chain := chainOf(New(Config{Kinds: []*policy.Kind{kind(&built)}}), nil, scope, policies...)
			x := &exchange.Exchange{Request: exchange.Request{Path: "/v1/chat/completions"}}
			b.ReportAllocs()
			for b.Loop() {
				if refusal := chain.Request(b.Context(), x); refusal != nil {
					b.Fatal(refusal)
				}
			}
			if built < n {
				b.Fatalf("%d stages", built)
			}
		})
	}
}
