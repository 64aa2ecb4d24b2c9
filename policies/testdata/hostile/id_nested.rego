# want: more than one part
# outcome: refused
# An object of objects.
package policies.scopes

allow["x"]["y"] := "z" if true
