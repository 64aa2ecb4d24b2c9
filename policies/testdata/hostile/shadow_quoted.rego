# want: is the library's own
# outcome: refused
# The same name, written in another way.
package strikeplate["scopes"]

allow["everyone"] := "all may enter" if true
