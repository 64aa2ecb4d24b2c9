# METADATA
# title: Private meetings are listed without what they are about
# description: |
#   Instead of leaving a colleague's private meeting out, list it with the named
#   columns hidden, so that calendars show the time as taken. A mask never opens
#   what a wall closes, and limited levels get none here.
package policies.meetings

mask["private"] := ["owner", "participants"] if {
	input.principal.access in {"user-full", "org-full"}
	input.resource.private == true
}
