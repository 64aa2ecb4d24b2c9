# want: 
# outcome: harmless
# Reads everything: such decisions are not remembered.
package policies.scopes

deny["x"] := "y" if {
	walk(input, [_, value])
	value == "never"
}
