module github.com/strikeplate/strikeplate/internal/benchmarks

go 1.26.0

require (
	github.com/alexedwards/argon2id v1.0.0
	github.com/strikeplate/strikeplate v0.0.0
)

require (
	github.com/maypok86/otter/v2 v2.4.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/strikeplate/strikeplate => ../..
