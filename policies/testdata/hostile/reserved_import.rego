# want: 
# outcome: harmless
# Imports of the language before version 1 mean nothing now.
package policies.scopes

import rego.v1

allow["x"] := "y" if input.route.method == "GET"
