package imports_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSurfacesStaySmall(t *testing.T) {
	for _, l := range listed(t) {
		p := short(l.ImportPath)
		i := slices.IndexFunc(surfaces, func(s surface) bool { return match(s.in, p) })
		if i < 0 || surfaces[i].max == unlimited {
			continue
		}
		if names := exported(document(t, l)); len(names) > surfaces[i].max {
			t.Errorf("%s exports %d names, and %d are allowed: %s", p, len(names), surfaces[i].max, strings.Join(names, " "))
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, l := range listed(t) {
		if l.Name == "main" || len(l.GoFiles)+len(l.CgoFiles) == 0 {
			continue
		}
		for _, name := range undocumented(document(t, l)) {
			t.Errorf("%s: %s has no comment", short(l.ImportPath), name)
		}
	}
}

// The two checks above, on a package that breaks both.
func TestSurfaceOfAMadeUpPackage(t *testing.T) {
	const source = `package p

const Const = 1 // documented on its line

const Bare = 2

// Vars.
var VarA, varB int

var VarC = 3

// T is documented.
type T struct{ Field int }

func (T) Method() {}

// Other is documented.
func (T) Other() {}

func (t) Hidden() {}

type t int

type U int

// NewT is documented.
func NewT() T { return T{} }

func Do() {}
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	d, err := doc.NewFromFiles(fset, []*ast.File{f}, "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := exported(d), []string{"Do", "NewT", "T", "U", "VarA", "VarC"}; !reflect.DeepEqual(got, want) {
		t.Errorf("exported %q, want %q", got, want)
	}
	if got, want := undocumented(d), []string{"Bare", "Do", "T.Method", "U", "VarC", "package p"}; !reflect.DeepEqual(got, want) {
		t.Errorf("undocumented %q, want %q", got, want)
	}
}

// document reads a package's own files; generated ones are their generator's.
func document(t *testing.T, l listing) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range slices.Concat(l.GoFiles, l.CgoFiles) {
		f, err := parser.ParseFile(fset, filepath.Join(l.Dir, name), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if !ast.IsGenerated(f) {
			files = append(files, f)
		}
	}
	d, err := doc.NewFromFiles(fset, files, l.ImportPath)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// exported are a package's types, functions and variables.
func exported(p *doc.Package) []string {
	var names []string
	values := func(all []*doc.Value) {
		for _, v := range all {
			names = append(names, slices.DeleteFunc(slices.Clone(v.Names), func(n string) bool { return !token.IsExported(n) })...)
		}
	}
	funcs := func(all []*doc.Func) {
		for _, f := range all {
			names = append(names, f.Name)
		}
	}
	values(p.Vars)
	funcs(p.Funcs)
	for _, t := range p.Types {
		names = append(names, t.Name)
		values(t.Vars)
		funcs(t.Funcs)
	}
	slices.Sort(names)
	return names
}

// undocumented are the names without a comment: the package, its constants,
// variables, types, functions and methods.
func undocumented(p *doc.Package) []string {
	var names []string
	note := func(comment, name string) {
		if strings.TrimSpace(comment) == "" {
			names = append(names, name)
		}
	}
	values := func(all []*doc.Value) {
		for _, v := range all {
			for _, s := range v.Decl.Specs {
				if s, ok := s.(*ast.ValueSpec); ok && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
					note(v.Doc+s.Doc.Text()+s.Comment.Text(), s.Names[0].Name)
				}
			}
		}
	}
	funcs := func(all []*doc.Func, of string) {
		for _, f := range all {
			note(f.Doc, of+f.Name)
		}
	}
	note(p.Doc, "package "+p.Name)
	values(slices.Concat(p.Consts, p.Vars))
	funcs(p.Funcs, "")
	for _, t := range p.Types {
		note(t.Doc, t.Name)
		values(slices.Concat(t.Consts, t.Vars))
		funcs(t.Funcs, "")
		funcs(t.Methods, t.Name+".")
	}
	slices.Sort(names)
	return names
}
