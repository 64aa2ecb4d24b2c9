# want: empty module
# outcome: refused
# A file that says nothing.
# Nothing here.
