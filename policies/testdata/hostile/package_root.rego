# want: is nobody's
# outcome: refused
# Names no entry.
package policies

deny["all"] := "closed" if true
