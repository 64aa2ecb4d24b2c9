# want: unused
# outcome: refused
# Strict: what isn't used is often a slip.
package policies.scopes

import data.policies.lib

allow["x"] := "y" if input.route.method == "GET"
