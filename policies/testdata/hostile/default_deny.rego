# want: default deny is not needed
# outcome: refused
# A default would take the place of every denial.
package policies.scopes

default deny := {}
