# want: decides nothing
# outcome: refused
# A denial where nobody asks.
package policies.lib

deny["x"] := "y" if true
