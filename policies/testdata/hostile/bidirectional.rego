# want: 
# outcome: harmless
# Control characters that show text in another order than it is read in; a reader's trouble, not the engine's.
package policies.scopes

# ‮ the rule below ⁦ is a comment⁩
deny["x"] := "y" if input.route.method == "never"
