# want: can't become SQL; put the look-up into a helper
# outcome: refused
# OPA forgets the key if roles is an array, and the denial would never hold.
package policies.meetings

deny["no-role"] := "the owner has no role" if not input.principal.settings.roles[input.resource.owner]
