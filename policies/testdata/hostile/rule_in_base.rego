# want: must not shadow data
# outcome: refused
# A rule's name can't reach out of its package.
package policies.scopes

data.strikeplate.scopes.allow["x"] := "y" if true
