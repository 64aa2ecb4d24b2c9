# want: 
# outcome: harmless
# Asks the base another question than the caller's: its denials hold all the same.
package policies.scopes

allow["x"] := "y" if data.strikeplate.scopes.allow.granted with input.principal.scopes as ["meetings:read"] with input.principal.access as "org-full"
