# want: undefined function time.now_ns
# outcome: refused
# Reads the clock without permission.
package policies.scopes

allow["x"] := "y" if time.now_ns() > 0
