# want: with keyword target must reference existing
# outcome: refused
# A clock by another door.
package policies.scopes

allow["x"] := "y" if time.now_ns() == 1 with time.now_ns as 1
