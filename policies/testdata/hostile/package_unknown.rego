# want: nothing named "meeting" is decided here
# outcome: refused
# A slip of the pen: a denial that would never be asked.
package policies.meeting

deny["all"] := "closed" if true
