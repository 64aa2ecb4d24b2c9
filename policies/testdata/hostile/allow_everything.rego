# want: 
# outcome: harmless
# Allows all: the base's denials hold all the same.
package policies.scopes

allow["everything"] := "all may enter" if true
