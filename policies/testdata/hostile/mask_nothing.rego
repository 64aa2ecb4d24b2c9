# want: must list column names
# outcome: refused
# A mask that hides nothing would list private rows in full.
package policies.meetings

mask["x"] := [] if true
