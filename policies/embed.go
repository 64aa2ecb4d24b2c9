package policies

import (
	"context"
	"embed"
	"fmt"
)

// bundled are the rules that come with the package, and the schemas of the
// inputs that are the same in every service.
//
//go:embed *.rego schemas/*.json
var bundled embed.FS

// bundledSnapshot reads the bundled rules.
func bundledSnapshot() (*snapshot, error) {
	s, err := readFS(context.Background(), bundled, limits{bytes: defaultMaxBytes, files: defaultMaxFiles})
	if err != nil {
		return nil, fmt.Errorf("bundled policies: %w", err)
	}
	return s, nil
}
