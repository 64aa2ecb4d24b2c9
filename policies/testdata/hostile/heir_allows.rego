# want: can only deny
# outcome: refused
# A resource that inherits can't open what its parent closes.
package policies.transcripts

allow["x"] := "y" if true
