// Package tools pins the programs that work on this repository: the linter,
// benchstat and mockgen. They are a module of their own, so that nobody who
// imports Strikeplate downloads them; `make tools` builds them into bin/.
package tools
