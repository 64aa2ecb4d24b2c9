# want: is the library's own
# outcome: refused
# Adds to the walls' package.
package strikeplate.resource

allow["everyone"] := "all may see" if true
