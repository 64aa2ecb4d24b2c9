package policies

import "github.com/strikeplate/strikeplate"

// Stand-ins until package scope has them. The identifier "scope" is then the
// imported package, so nothing in this package can be called that.
type (
	requirement struct {
		AllOf, AnyOf []string
		Access       []strikeplate.Access
		Environment  strikeplate.Environment
	}
	scopeRequest struct {
		Principal     *strikeplate.Principal
		Requirement   requirement
		Method, Route string
	}
	scopeDecision struct {
		Allowed                bool
		Rule, Reason, Revision string
		Missing                []string
	}
)

func (r requirement) Missing([]string) []string { return nil }
