// Command page writes docs/conformance/README.md from the report of a run of Gateway API's conformance suite: what passes,
// what fails and what Ebbgate does not have, each with the reason. It fails where it has no reason for something, or a reason for
// nothing. run.sh calls it with the report as argument; it runs no test itself.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the report's file as the one argument, got %d", len(args))
	}
	text, err := os.ReadFile(args[0]) //nolint:gosec // the caller names it
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	var report confv1.ConformanceReport
	if err := yaml.UnmarshalStrict(text, &report); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	folder := filepath.Dir(filepath.Dir(args[0]))
	name, err := filepath.Rel(folder, args[0])
	if err != nil {
		return fmt.Errorf("name report: %w", err)
	}
	var page bytes.Buffer
	if err := write(&page, &report, filepath.ToSlash(name)); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "README.md"), page.Bytes(), 0o600) //nolint:gosec // beside what the caller names
}

// write writes the page of a report that lies in a file beside it.
func write(w io.Writer, report *confv1.ConformanceReport, file string) error {
	fmt.Fprintf(w, `# Conformance

Written by `+"`make conformance`"+`, which runs the suite of Gateway API %s (%s channel) against a cluster of one node: [the report](%s).
Of Ebbgate %s, on %s. Every extended feature that the GatewayClass claims is tested; no feature is exempted, and no test left out.

| profile | core | extended | extended features |
|---|---|---|---|
`, report.GatewayAPIVersion, report.GatewayAPIChannel, file, report.Version, report.Date)
	var missing, failed, skipped []string
	for _, p := range report.ProfileReports {
		e := p.Extended
		if e == nil {
			e = &confv1.ExtendedStatus{}
		}
		had, all := len(e.SupportedFeatures), len(e.SupportedFeatures)+len(e.UnsupportedFeatures)
		fmt.Fprintf(w, "| %s | %s | %s | %d of %d |\n", p.Name, told(&p.Core), told(&e.Status), had, all)
		missing = append(missing, e.UnsupportedFeatures...)
		for _, s := range []*confv1.Status{&p.Core, &e.Status} {
			failed = append(failed, s.FailedTests...)
			skipped = append(skipped, s.SkippedTests...)
		}
	}
	known := map[string]bool{}
	for _, part := range []struct {
		title, none string
		names       []string
		reasons     map[string]string
	}{
		{"Not supported", "Every extended feature of these profiles is.", missing, lacking},
		{"Fails", "Nothing.", failed, failing},
		{"Skipped", "Nothing.", skipped, nil},
	} {
		fmt.Fprintf(w, "\n## %s\n\n", part.title)
		slices.Sort(part.names)
		part.names = slices.Compact(part.names)
		if len(part.names) == 0 {
			fmt.Fprintln(w, part.none)
		}
		for _, name := range part.names {
			known[name] = true
			if part.reasons == nil {
				fmt.Fprintf(w, "- `%s`\n", name)
				continue
			}
			why := part.reasons[name]
			if why == "" {
				return fmt.Errorf("%s: %s, and reasons.go does not say why", strings.ToLower(part.title), name)
			}
			fmt.Fprintf(w, "- `%s`: %s\n", name, why)
		}
		for name := range part.reasons {
			if !known[name] {
				return fmt.Errorf("reasons.go has a reason for %s, which is not among what it calls %q", name, strings.ToLower(part.title))
			}
		}
	}
	return nil
}

// told is a status in a table's cell.
func told(s *confv1.Status) string {
	text := fmt.Sprintf("%d passed", s.Statistics.Passed)
	if s.Statistics.Failed > 0 {
		text += fmt.Sprintf(", %d failed", s.Statistics.Failed)
	}
	if s.Statistics.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", s.Statistics.Skipped)
	}
	return text
}
