// Package imports holds no code, only tests of the whole tree: who may import
// whom, what a service links, how many names a package exports, that each is
// documented, that the tests that SECURITY.md names exist, and that no file
// names a path of the machine it was written on.
//
// The rules are the tables in rules_test.go. Each is proven to fail, on made-up
// packages that break it.
package imports
