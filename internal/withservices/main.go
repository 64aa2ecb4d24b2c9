// Withservices runs a command that wants PostgreSQL and Redis, with servers of
// its own:
//
//	withservices go test ./...
//
// The command finds their addresses in the environment, as
// STRIKEPLATE_EXAMPLES_POSTGRES and STRIKEPLATE_EXAMPLES_REDIS; one that is set
// already is left alone, and no server started for it. It is for tests of
// modules that can't import this one's harnesses.
//
// The servers are those of internal/pgtest and internal/redistest: on free ports
// of the loopback interface, with fresh passwords, in directories that are
// deleted. They end when the command does, when this program is told to end, and
// on Linux when it is killed. The exit code is the command's; 128 and the
// signal's number if one ended it.
//
// Where a server isn't installed, the program says how to install it and runs the
// command without its address; with STRIKEPLATE_REQUIRE_SERVICES=1 in the
// environment it fails instead.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/strikeplate/strikeplate/internal/pgtest"
	"github.com/strikeplate/strikeplate/internal/processtest"
	"github.com/strikeplate/strikeplate/internal/redistest"
)

// Names of the environment's variables.
const (
	postgresVariable = "STRIKEPLATE_EXAMPLES_POSTGRES"
	redisVariable    = "STRIKEPLATE_EXAMPLES_REDIS"
	requireVariable  = "STRIKEPLATE_REQUIRE_SERVICES"
)

// failed is the exit code where the command was not run.
const failed = 125

// server is what both harnesses start.
type server interface {
	URL() string
	Stop()
}

// service is a server to start for a variable.
type service struct {
	variable string
	start    func() (server, error)
}

func services() []service {
	return []service{
		{postgresVariable, func() (server, error) { return opened(pgtest.Open()) }},
		{redisVariable, func() (server, error) { return opened(redistest.Open()) }},
	}
}

// opened keeps a nil pointer from becoming a server that isn't nil.
func opened[S server](s S, err error) (server, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

func main() {
	// From the start: a signal that arrives while servers start must end them too.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Exit(run(os.Args[1:], services(), signals, os.Stderr)) //nolint:forbidigo // a program, whose exit code is its answer
}

// run starts the services, runs the command and returns the exit code.
func run(line []string, wanted []service, signals <-chan os.Signal, complaints io.Writer) int {
	if len(line) == 0 {
		_, _ = fmt.Fprintln(complaints, "usage: withservices COMMAND [ARGUMENT …]")
		return failed
	}
	environment := os.Environ()
	var started []server
	defer func() {
		for _, s := range started {
			s.Stop()
		}
	}()
	for _, w := range wanted {
		if os.Getenv(w.variable) != "" {
			continue
		}
		s, err := w.start()
		var missing processtest.MissingError
		switch {
		case errors.As(err, &missing) && os.Getenv(requireVariable) != "1":
			_, _ = fmt.Fprintf(complaints, "withservices: without %s: %v\n", w.variable, err)
		case err != nil:
			_, _ = fmt.Fprintf(complaints, "withservices: %v\n", err)
			return failed
		default:
			started = append(started, s)
			environment = append(environment, w.variable+"="+s.URL())
		}
	}
	select {
	case s := <-signals: // the command isn't there yet to be told
		return codeOf(s)
	default:
	}
	code, err := command(line, environment, signals)
	if err != nil {
		_, _ = fmt.Fprintf(complaints, "withservices: %v\n", err)
	}
	return code
}

// command runs the command to its end, and passes signals on: the command ends
// in its own way, and the servers only after it.
func command(line, environment []string, signals <-chan os.Signal) (code int, err error) {
	cmd := exec.Command(line[0], line[1:]...) //nolint:gosec,noctx // to run what it is told is what it is for
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdin, os.Stdout, os.Stderr, environment
	if err := cmd.Start(); err != nil {
		return failed, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			_ = cmd.Process.Signal(s)
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				return failed, err
			}
			if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
				return codeOf(status.Signal()), nil
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// codeOf is the exit code by which shells tell a signal.
func codeOf(s os.Signal) int {
	if number, ok := s.(syscall.Signal); ok {
		return 128 + int(number)
	}
	return failed
}
