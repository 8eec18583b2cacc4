package command

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/ebbgate/ebbgate/internal/observe"
)

// TestHelpNamesAdminPages: what the help of --admin names is served, and of the pages that not every process has it names
// those that this one has.
func TestHelpNamesAdminPages(t *testing.T) {
	for _, traffic := range []bool{false, true} {
		var f ProcessFlags
		c := &cobra.Command{}
		f.Add(c, "", traffic)
		pages := regexp.MustCompile(`/[a-z_]+`).FindAllString(c.Flag("admin").Usage, -1)
		served := observe.AdminConfig{}
		if traffic {
			served.Backends = func() any { return nil }
		}
		h := observe.Admin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), served)
		for _, page := range []string{"/config_dump", "/problems", "/metrics", "/backends"} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
			r.Host = "localhost"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if named := slices.Contains(pages, page); named != (w.Code == http.StatusOK) {
				t.Errorf("traffic %t: %s answers %d, and is named: %t", traffic, page, w.Code, named)
			}
		}
		if want := map[bool]int{false: 3, true: 4}[traffic]; len(pages) != want {
			t.Errorf("traffic %t: named are %v", traffic, pages)
		}
	}
}
