package main

import (
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// checkDashboard refuses a field that Grafana does not have, one of another type, and a value that its schema does not allow, in
// panels of its own kinds and in queries to Prometheus too.
func checkDashboard(file string) (string, error) {
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var board dashboard.Dashboard
	// Both may give a list of errors with none in it.
	for _, err := range []error{board.UnmarshalJSONStrict(text), board.Validate()} {
		if err != nil && err.Error() != "" {
			return "", err
		}
	}
	return fmt.Sprintf("a dashboard with %d panels", len(board.Panels)), nil
}
