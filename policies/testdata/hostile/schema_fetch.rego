# want: undefined function json.match_schema
# outcome: refused
# Fetches what a schema names.
package policies.scopes

allow["x"] := "y" if json.match_schema(input, {"$ref": "http://169.254.169.254/"})[0]
