# want: rego_parse_error
# outcome: refused
# No package at all.
allow["x"] := "y" if true
