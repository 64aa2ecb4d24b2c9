# want: 
# outcome: harmless
# Reads what can't be told beforehand: such decisions are not remembered.
package policies.scopes

deny["x"] := "y" if {
	some name
	startswith(json.marshal(input[name]), "never")
}
