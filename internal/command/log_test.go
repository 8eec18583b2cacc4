package command

import (
	"bytes"
	"log"
	"strings"
	"testing"
)

// What libraries print is a line of the process's own log, for those who debug.
func TestLoggerTakesWhatLibrariesPrint(t *testing.T) {
	flags, out := log.Flags(), log.Writer()
	defer func() { log.SetFlags(flags); log.SetOutput(out) }()
	for level, want := range map[string]string{"info": "", "debug": `level=DEBUG msg="protocol error"`} {
		var text bytes.Buffer
		if _, err := (&ProcessFlags{level: level}).Logger(&text); err != nil {
			t.Fatal(err)
		}
		log.Print("protocol error")
		if got := text.String(); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%s: %q", level, got)
		}
	}
}
