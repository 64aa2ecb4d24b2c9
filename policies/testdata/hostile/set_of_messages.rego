# want: has no id and no reason
# outcome: refused
# The form of other systems.
package policies.scopes

deny contains "closed" if true
