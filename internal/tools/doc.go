// Package tools pins the programs that work on this repository: the linter,
// benchstat, mockgen and OPA's command line. They are a module of their own, so
// that nobody who imports Strikeplate downloads them; `make tools` builds them
// into bin/, and `make rego` OPA's alone.
package tools
