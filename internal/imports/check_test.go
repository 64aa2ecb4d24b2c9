package imports_test

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// A pkg is one package of the graph; its paths are written as in the rules.
type pkg struct {
	path    string
	imports []string // of its own files
	tests   []string // of its test files
	links   []string // what a program that imports it contains: imports, and theirs
}

// check returns a sentence for each rule that a package breaks.
func check(graph []pkg) []string {
	var broken []string
	for _, p := range graph {
		broken = slices.Concat(broken, checkRoom(p), checkClosures(p))
	}
	slices.Sort(broken)
	return slices.Compact(broken)
}

func checkRoom(p pkg) []string {
	i := slices.IndexFunc(rooms, func(r room) bool { return match(r.in, p.path) })
	if i < 0 {
		return []string{p.path + " is in no room"}
	}
	r := rooms[i]
	var broken []string
	for _, to := range p.imports {
		if !r.allows(p.path, to) {
			broken = append(broken, fmt.Sprintf("%s imports %s, which %s may not", p.path, to, r.in))
		}
	}
	for _, to := range p.tests {
		if matchAny(r.never, to) {
			broken = append(broken, fmt.Sprintf("%s tests import %s, which %s may not", p.path, to, r.in))
		}
	}
	return broken
}

func (r room) allows(from, to string) bool {
	switch {
	case matchAny(r.never, to):
		return false
	case !strings.HasPrefix(to, "~"):
		return r.strangers || standard(to)
	case matchAny(r.may, to):
		return true
	default:
		return slices.Contains(r.may, same) && match(family(from)+"/...", to)
	}
}

func checkClosures(p pkg) []string {
	var broken []string
	report := func(verb string, paths, only []string, what []string) {
		for _, to := range paths {
			if matchAny(what, to) && !matchAny(only, p.path) {
				broken = append(broken, fmt.Sprintf("%s %s %s, which only %s may", p.path, verb, to, cmp.Or(strings.Join(only, ", "), "tests")))
			}
		}
	}
	for _, c := range closures {
		if matchAny(c.what, p.path) {
			continue // inside
		}
		report("imports", p.imports, c.only, c.what)
		if !c.tests {
			report("tests import", p.tests, c.only, c.what)
		}
		if c.links {
			i := slices.IndexFunc(p.links, func(to string) bool { return matchAny(c.what, to) })
			if i >= 0 { // the first stands for all that comes with it
				report("links", p.links[i:i+1], slices.Concat(c.only, programs), c.what)
			}
		}
	}
	return broken
}

// family is the feature or the backend that a package belongs to: "~/keyauth"
// for ~/keyauth/manage, "~/storage/postgres" for ~/storage/postgres/x.
func family(p string) string {
	parts := strings.Split(p, "/")
	depth := 2
	if match("~/storage/...", p) {
		depth = 3
	}
	return strings.Join(parts[:min(depth, len(parts))], "/")
}

func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".") && first != "~"
}

func matchAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(pattern, p) })
}

// match reports whether a pattern of the rules covers a path.
func match(pattern, p string) bool {
	base, deep := strings.CutSuffix(pattern, "/...")
	for {
		if ok, err := path.Match(base, p); ok || err != nil {
			return ok
		}
		up := strings.LastIndexByte(p, '/')
		if !deep || up < 0 {
			return false
		}
		p = p[:up]
	}
}
