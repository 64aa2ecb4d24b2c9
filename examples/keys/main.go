// Keys is a command for emergencies, when there is no console to click in: it
// mints a first key, revokes keys, and lists them, straight in the store.
//
//	export STRIKEPLATE_TAG_KEY=…           # the service's, in base64; to mint only
//	go run ./keys -db keys.db mint -organisation acme -name "First key" -prefix mvo_ -environment live -scopes meetings:read
//	go run ./keys -db keys.db list
//	go run ./keys -db keys.db revoke key_ABC…
//	go run ./keys -db postgres://api@db/api revoke -organisation acme -creator ada -before 2026-03-14
//
// A running service notices at once what is revoked here, through the store's
// change feed. A new secret is printed to standard output, once, and nothing
// else is; a list goes there too. The exit code is 0, or 1 if something failed,
// or 2 for a wrong use.
//
// Whoever can reach the store can do this: the command asks nobody. What it does
// is audited as an operator's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/strikeplate/strikeplate"
)

const usage = `Usage: keys -db FILE|postgres://… [-migrate] COMMAND [FLAGS]

Commands:
  mint     make a key, and print its secret to standard output
  revoke   end keys at once and for ever
  list     list keys

keys COMMAND -h tells a command's flags.

Flags:
`

// The exit codes besides 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

// program is what a command has from outside.
type program struct {
	db      string
	migrate bool
	by      string
	getenv  func(string) string
	out     io.Writer // secrets and lists
	tell    io.Writer // all else
}

// errUsage ends the program with exitUsage; what is wrong has been told.
var errUsage = errors.New("wrong use")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{getenv: os.Getenv, out: os.Stdout, tell: os.Stderr}
	err := p.run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return
	case errors.Is(err, errUsage):
		os.Exit(exitUsage)
	}
	fmt.Fprintln(os.Stderr, "keys:", sentence(err))
	os.Exit(exitFailed)
}

// sentence is what a refusal says to a person.
func sentence(err error) string {
	var e *strikeplate.Error
	if errors.As(err, &e) && e.Message != "" {
		return e.Message
	}
	return err.Error()
}

func (p *program) run(ctx context.Context, args []string) error {
	flags := p.flags("keys")
	flags.Usage = func() {
		fmt.Fprint(p.tell, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&p.db, "db", p.getenv("STRIKEPLATE_DB"),
		"where the keys are: an SQLite `FILE`, or postgres://…; a password is safer in $STRIKEPLATE_DB, the default")
	flags.BoolVar(&p.migrate, "migrate", false, "make the tables, or bring them up to date; a new file gets them anyway")
	flags.StringVar(&p.by, "by", "operator", "your name, for the audit log")
	if err := parse(flags, args); err != nil {
		return err
	}
	commands := map[string]func(context.Context, []string) error{"mint": p.mint, "revoke": p.revoke, "list": p.list}
	command := commands[flags.Arg(0)]
	if command == nil {
		return p.misused(flags, "name a command: mint, revoke or list")
	}
	return command(ctx, flags.Args()[1:])
}

func (p *program) flags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(p.tell)
	return flags
}

// parse turns a mistake, which package flag tells, into errUsage.
func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return errUsage
	}
	return err
}

func (p *program) misused(flags *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(p.tell, flags.Name()+": "+format+"\n", args...)
	flags.Usage()
	return errUsage
}
