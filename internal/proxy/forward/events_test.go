package forward

import (
	"strings"
	"testing"

	"github.com/ebbgate/ebbgate/internal/provider/dialect"
	"github.com/ebbgate/ebbgate/internal/proxy/accept"
)

// TestEventsStayWhole: what has come of an event waits for the rest of it, but not where that fills half of a full room.
func TestEventsStayWhole(t *testing.T) {
	const event = "data: {\"choices\":[{\"delta\":{\"content\":\"word\"}}]}\n\n"
	f := func(room int, text string, want int, aligned bool) {
		t.Helper()
		e := events{dialect: dialect.Chat, aligned: true}
		e.stream.Reset(e.dialect)
		space := make([]byte, room)
		if got := e.end(space, 0, copy(space, text), room == accept.LeanRoom); got != want || e.aligned != aligned {
			t.Errorf("of %d bytes in a room of %d %d are sent on, aligned %t", len(text), room, got, e.aligned)
		}
	}
	begun := "data: " + strings.Repeat("x", accept.LeanRoom-len(event)-6)
	f(accept.LeanRoom, event, len(event), true)
	f(accept.LeanRoom, event+begun, len(event), true)
	f(accept.LeanRoom, begun, 0, true)
	f(16<<10, begun, 0, true)
	f(16<<10, event+strings.Repeat(begun, 10), len(event), true)
	f(16<<10, strings.Repeat(begun, 10), 10*len(begun), false)
}
