// Package storagemock has mocks of package storage's contracts, for the failures
// that a real store can't be made to take: an outcome that nobody knows, a
// directory that is down. Everything else is tested on real stores.
//
// The mocks are generated; go generate needs nothing but the Go command.
package storagemock

//go:generate go tool -modfile=../tools/go.mod mockgen -write_package_comment=false -package=storagemock -destination=keys.go -source=../../storage/keys.go
//go:generate go tool -modfile=../tools/go.mod mockgen -write_package_comment=false -package=storagemock -destination=audit.go -source=../../storage/audit.go
//go:generate go tool -modfile=../tools/go.mod mockgen -write_package_comment=false -package=storagemock -destination=directory.go -source=../../storage/directory.go
