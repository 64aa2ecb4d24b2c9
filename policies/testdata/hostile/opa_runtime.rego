# want: undefined function opa.runtime
# outcome: refused
# Reads the process's environment.
package policies.scopes

allow["x"] := "y" if opa.runtime().env.HOME != ""
