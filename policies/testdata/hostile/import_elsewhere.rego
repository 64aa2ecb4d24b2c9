# want: rego_parse_error
# outcome: refused
# Imports come from input and data.
package policies.scopes

import net.http

allow["x"] := "y" if true
