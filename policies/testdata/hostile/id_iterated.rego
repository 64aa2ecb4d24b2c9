# want: must be a literal string
# outcome: refused
# Many ids by one rule.
package policies.scopes

allow[id] := "y" if some id in ["a", "b"]
