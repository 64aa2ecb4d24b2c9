# want: unexpected keyword
# outcome: refused
# A keyword from no version.
package policies.scopes

import future.keywords.unless

allow["x"] := "y" if true
