# want: default allow is not needed
# outcome: refused
# The form of other systems.
package policies.scopes

default allow := true
