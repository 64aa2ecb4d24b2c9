package policies

import (
	"errors"

	"github.com/open-policy-agent/opa/v1/ast"
)

// checkNegations refuses look-ups by a variable that stand right behind "not".
//
// Partial evaluation (OPA 1.22) forgets the key of such a look-up where what is
// looked up is an array: "not roles[input.resource.owner]" becomes "not true"
// for each element, so that a denial would silently never hold. In a helper
// of its own the look-up is evaluated rightly.
func checkNegations(c *ast.Compiler, refs []ast.Ref) error {
	var problems []error
	for _, rule := range reachable(c, refs) {
		for r := rule; r != nil; r = r.Else {
			ast.WalkExprs(r.Body, func(expr *ast.Expr) bool {
				if expr.Negated && looksUp(expr) {
					problems = append(problems, located(cannot(`"not" in front of a look-up by a variable or a column can't become SQL; put the look-up into a helper, and negate that`), expr))
				}
				return false
			})
		}
	}
	return errors.Join(problems...)
}

// looksUp reports whether a reference in an expression has a key that is not
// written out.
func looksUp(expr *ast.Expr) (found bool) {
	ast.WalkRefs(expr.Terms, func(ref ast.Ref) bool {
		found = found || !ref[1:].IsGround()
		return found
	})
	return found
}
