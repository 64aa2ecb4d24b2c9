# want: 
# outcome: harmless
# Allows all: the walls hold all the same, and limited levels see no private meeting.
package policies.meetings

allow["everything"] := "all may see" if true
