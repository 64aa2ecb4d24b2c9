# want: is the library's own
# outcome: refused
# A package below a bundled one.
package strikeplate.scopes.extra

allow["everyone"] := "all may enter" if true
