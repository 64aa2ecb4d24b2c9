# want: masks hide columns
# outcome: refused
# A mask where there are no columns.
package policies.scopes

mask["x"] := ["title"] if true
