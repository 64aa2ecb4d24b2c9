# want: must be a literal string
# outcome: refused
# A reason made of the request: what a caller sends, told to callers and logs.
package policies.scopes

deny["x"] := input.client.address if true
