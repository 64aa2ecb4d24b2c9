# want: undefined function os.exec
# outcome: refused
# There is no such function.
package policies.scopes

allow["x"] := "y" if os.exec("id")
