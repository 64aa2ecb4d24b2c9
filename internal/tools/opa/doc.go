// Package opa pins OPA's command line, which `make rego` builds into bin/. It is
// apart from the other tools because OPA and golangci-lint want versions of one
// dependency (gobwas/glob) that no single build can satisfy.
package opa
