# want: nothing named "if" is decided here
# outcome: refused
# A reserved word.
package policies.if.every
