//go:build cluster

// Package conformance_test runs Gateway API's own conformance suite against a cluster that Ebbgate is installed on. run.sh
// prepares the cluster and calls it; it is no part of `make test`, hence the build constraint. page/ writes what became of it.
package conformance_test

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gwapiv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/yaml"
)

var (
	version  = flag.String("ebbgate-version", "", "version of Ebbgate that is tested")
	report   = flag.String("report", "", "file to write the report to")
	usable   = flag.String("usable", "", "address that a Gateway may ask for and get")
	unusable = flag.String("unusable", "", "address that a Gateway may ask for and not get")
)

// profiles are all that Ebbgate claims. Which extended features are tested the GatewayClass says, and nothing is exempted.
var profiles = []suite.ConformanceProfileName{suite.GatewayHTTPConformanceProfileName, suite.GatewayGRPCConformanceProfileName}

func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.GatewayClassName = "ebbgate"
	options.ConformanceProfiles = profiles
	options.CleanupBaseResources = false
	options.Implementation = confv1.Implementation{
		Organization: "ebbgate", Project: "ebbgate", URL: "https://github.com/ebbgate/ebbgate", Version: *version,
		Contact: []string{"https://github.com/ebbgate/ebbgate/issues"},
	}
	options.UsableNetworkAddresses = []gwapiv1.GatewaySpecAddress{{Type: new(gwapiv1.IPAddressType), Value: *usable}}
	options.UnusableNetworkAddresses = []gwapiv1.GatewaySpecAddress{{Type: new(gwapiv1.IPAddressType), Value: *unusable}}

	s, err := suite.NewConformanceTestSuite(options)
	if err != nil {
		t.Fatal(err)
	}
	if *report != "" && options.RunTest == "" {
		t.Cleanup(func() { write(t, s) }) // there is no report before the suite's own cleanup
	}
	s.Setup(t, tests.ConformanceTests)
	if err := s.Run(t, tests.ConformanceTests); err != nil {
		t.Error(err)
	}
}

// write writes the report of what has run.
func write(t *testing.T, s *suite.ConformanceTestSuite) {
	made, err := s.Report()
	if err != nil {
		t.Error(err)
		return
	}
	slices.SortFunc(made.ProfileReports, func(a, b confv1.ProfileReport) int { return strings.Compare(b.Name, a.Name) })
	made.Date = time.Now().UTC().Format(time.DateOnly)
	text, err := yaml.Marshal(made)
	if err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(*report, text, 0o644); err != nil {
		t.Error(err)
		return
	}
}
