# want: undefined function bits.lsh
# outcome: refused
# Makes a number of a hundred million bits; no deadline reaches into it.
package policies.scopes

deny["x"] := "y" if bits.lsh(1, 100000000) > 0
