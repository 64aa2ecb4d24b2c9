# want: nothing named "scopes_test" is decided here
# outcome: refused
# A test whose file name doesn't say so.
package policies.scopes_test

test_it if true
