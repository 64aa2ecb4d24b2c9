# want: 
# outcome: harmless
# Exponential in engines that backtrack; linear here.
package policies.scopes

deny["x"] := "y" if {
	text := concat("", ["a" | some _ in numbers.range(1, 2000)])
	regex.match(`^(a+)+$`, concat("", [text, "!"]))
}
