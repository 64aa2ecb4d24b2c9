# want: is the library's own
# outcome: refused
# Replaces helpers of bundled rules.
package strikeplate.lib

is_admin if true
