# want: must be a literal string
# outcome: refused
# A reason made of the request.
package policies.scopes

deny["x"] := sprintf("no %s", [input.principal.subject]) if true
