package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/pprof/profile"
)

func TestPartOf(t *testing.T) {
	f := func(stack, want string) {
		t.Helper()
		if got := partOf(strings.Fields(stack)); got != want {
			t.Errorf("%s: %s, want %s", stack, got, want)
		}
	}
	f("", rest)
	f("internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 syscall.write net.(*conn).Write net/http.(*http2Framer).WriteData", writing)
	f("internal/runtime/syscall/linux.Syscall6 syscall.RawSyscall6 syscall.read crypto/tls.(*Conn).Read", reading)
	f("internal/runtime/syscall/linux.Syscall6 runtime.netpoll runtime.findRunnable runtime.schedule", calling)
	f("runtime.memmove crypto/tls.(*Conn).Write net/http.(*http2Framer).WriteData", securing)
	f("runtime.memmove bufio.(*Writer).Write net/http.(*http2Framer).WriteData github.com/ebbgate/ebbgate/internal/proxy.(*journey).deliver", netHTTP)
	f("strings.EqualFold github.com/ebbgate/ebbgate/internal/exchange.(*Header).Get net/http.(*http2serverConn).runHandler", own)
	f("runtime.memclr runtime.mallocgc runtime.newobject github.com/ebbgate/ebbgate/internal/proxy.(*journey).steps", allocating)
	f("runtime.gcDrainN runtime.gcAssistAlloc1 runtime.mallocgc net/http.(*http2ClientConn).roundTrip", collecting)
	f("runtime.pcvalue runtime.copystack runtime.newstack net/http.(*http2serverConn).runHandler", growing)
	f("runtime.lock2 runtime.selectgo net/http.(*http2serverConn).serve", scheduling)
}

func TestProfiles(t *testing.T) {
	at := func(id uint64, name string) *profile.Location {
		return &profile.Location{ID: id, Line: []profile.Line{{Function: &profile.Function{ID: id, Name: name}}}}
	}
	ours, tls := at(1, "github.com/ebbgate/ebbgate/internal/proxy.f"), at(2, "crypto/tls.f")
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample:     []*profile.Sample{{Location: []*profile.Location{ours}, Value: []int64{3, 30}}, {Location: []*profile.Location{tls, ours}, Value: []int64{1, 10}}},
		Location:   []*profile.Location{ours, tls},
		Function:   []*profile.Function{ours.Line[0].Function, tls.Line[0].Function},
	}
	file := filepath.Join(t.TempDir(), "get.pprof")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(out); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r := result{work: work{title: "GET"}, proxy: ebbgate, profile: file, samples: []sample{{load: load{requests: 1000}, cpu: 40e6}}}
	if err := profiles(&b, []result{{}, r}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"| CPU ms per 1,000, by profile | GET |\n|---|---|\n", "| Ebbgate | 30.0 |\n", "| crypto/tls and ciphers | 10.0 |\n", "| net/http | 0.0 |\n", "| all | 40.0 |\n"} {
		if !strings.Contains(b.String(), line) {
			t.Errorf("no %q in\n%s", line, b.String())
		}
	}
	b.Reset()
	if err := profiles(&b, []result{{}}); err != nil || b.Len() > 0 {
		t.Errorf("without profiles: %q, %v", b.String(), err)
	}
	r.profile += ".none"
	if err := profiles(&b, []result{r}); err == nil {
		t.Error("a profile that is not there is no error")
	}
}
