# want: illegal token
# outcome: refused
# A Cyrillic letter in a name.
package policies.scopes

deny["x"] := "y" if input.prіncipal.subject == "ada"
