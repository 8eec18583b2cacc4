package command

import (
	"regexp"

	"github.com/spf13/cobra"
)

// ClusterFlag is what the cluster is called that a gateway's own clients are in.
type ClusterFlag struct{ Name string }

// label is a DNS label (RFC 1123), which is what a selector of clients can name.
var label = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// Add adds the flag.
func (f *ClusterFlag) Add(c *cobra.Command) {
	c.Flags().StringVar(&f.Name, "cluster-name", "", "name of the cluster of the gateway's own clients, in selectors, logs and metrics; empty: they have none")
}

// Check refuses what a selector of clients could not name.
func (f *ClusterFlag) Check() error {
	if f.Name != "" && !label.MatchString(f.Name) {
		return Usage("--cluster-name: %q is no DNS label", f.Name)
	}
	return nil
}
