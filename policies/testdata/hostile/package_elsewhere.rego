# want: is outside of policies
# outcome: refused
# OPA's usual package, which nobody asks.
package main

deny["all"] := "closed" if true
