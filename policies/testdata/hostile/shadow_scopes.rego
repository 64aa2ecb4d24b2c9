# want: is the library's own
# outcome: refused
# Reopens a bundled package.
package strikeplate.scopes

allow["everyone"] := "all may enter" if true
