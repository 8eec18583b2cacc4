package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
)

// TestPageIsOfTheReport holds the committed page to the committed report.
func TestPageIsOfTheReport(t *testing.T) {
	const folder = "../../../docs/conformance"
	reports, err := filepath.Glob(folder + "/*/report.yaml")
	if err != nil || len(reports) != 1 {
		t.Fatalf("reports %v, %v: want one", reports, err)
	}
	name, err := filepath.Rel(folder, reports[0])
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(reports[0])
	if err != nil {
		t.Fatal(err)
	}
	made := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(made), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(made, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{made}); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(made)), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(folder + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(want) {
		t.Errorf("the page is not what the report comes to: go run ./page %s", reports[0])
	}
}

func TestEverythingHasAReason(t *testing.T) {
	with := func(missing []string, failed ...string) *confv1.ConformanceReport {
		return &confv1.ConformanceReport{ProfileReports: []confv1.ProfileReport{{
			Name: "GATEWAY-HTTP", Core: confv1.Status{FailedTests: failed},
			Extended: &confv1.ExtendedStatus{UnsupportedFeatures: missing},
		}}}
	}
	var all, bad []string
	for name := range lacking {
		all = append(all, name)
	}
	for name := range failing {
		bad = append(bad, name)
	}
	for _, c := range []struct {
		report *confv1.ConformanceReport
		want   string
	}{
		{with(all, bad...), ""},
		{with(append([]string{"Unheard"}, all...), bad...), "not supported: Unheard, and"},
		{with(all, append([]string{"UnheardTest"}, bad...)...), "fails: UnheardTest, and"},
		{with(nil, bad...), "has a reason for ListenerSet"},
	} {
		var page strings.Builder
		err := write(&page, c.report, "report.yaml")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}
