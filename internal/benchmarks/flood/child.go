package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// child is another process of this program. It is told what to do in one line
// of JSON, says in one line that it is ready, and works until its standard
// input ends, which also happens when this process dies. Then it reports in one
// more line.
type child struct {
	cmd    *exec.Cmd
	input  io.WriteCloser
	output *bufio.Reader
}

// start returns when the child is ready.
func start(role string, order, ready any) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(self, "-role", role)}
	c.cmd.Stderr = os.Stderr
	if c.input, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.output = bufio.NewReader(output)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c.input).Encode(order); err != nil {
		c.kill()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	if err := c.hear(ready); err != nil {
		c.kill()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	return c, nil
}

func (c *child) hear(v any) error {
	line, err := c.output.ReadBytes('\n')
	if err != nil {
		return err
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(line, v)
}

// finish ends the child and takes its report.
func (c *child) finish(report any) error {
	if err := c.input.Close(); err != nil {
		return err
	}
	if err := c.hear(report); err != nil {
		return err
	}
	return c.cmd.Wait()
}

// kill ends a child that did not finish.
func (c *child) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	}
}

// obey is the child's side: it reads the order, prepares, and works until told
// to end.
func obey[Order, Ready, Report any](prepare func(Order) (Ready, func() Report, error)) error {
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return err
	}
	var order Order
	if err := json.Unmarshal(line, &order); err != nil {
		return err
	}
	ready, finish, err := prepare(order)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(ready); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	return out.Encode(finish())
}
