# want: 
# outcome: harmless
# Prints nowhere.
package policies.scopes

deny["x"] := "y" if {
	print(input)
	input.route.method == "never"
}
