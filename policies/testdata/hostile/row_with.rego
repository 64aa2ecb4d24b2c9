# want: with can't become SQL
# outcome: refused
# Replaces a column. No database can be asked so.
package policies.meetings

allow["x"] := "y" if data.policies.meetings.own with input.resource.owner as input.principal.subject

own if input.resource.owner == input.principal.subject
