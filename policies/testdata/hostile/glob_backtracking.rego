# want: 
# outcome: harmless
# Exponential in engines that backtrack.
package policies.scopes

deny["x"] := "y" if {
	text := concat("", ["a" | some _ in numbers.range(1, 2000)])
	glob.match("*a*a*a*a*a*a*a*a*a*a*b", [], text)
}
