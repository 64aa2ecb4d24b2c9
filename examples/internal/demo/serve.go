package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Serve answers requests until ctx ends, then finishes those under way. What to
// try is told, and the file of credentials written, when the server is ready.
func (s *Site) Serve(ctx context.Context, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Serve(s.listener) }()
	if err := s.announce(ctx); err != nil {
		_ = server.Close()
		return err
	}
	select {
	case err := <-stopped:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return server.Shutdown(grace)
}

func (s *Site) announce(ctx context.Context) error {
	if s.Credentials != "" {
		if err := s.writeCredentials(ctx); err != nil {
			return fmt.Errorf("-credentials: %w", err)
		}
	}
	if s.Out == nil {
		return nil
	}
	_, err := fmt.Fprint(s.Out, s.tell())
	return err
}

// tell is what the terminal says. Secrets are printed where no file was asked
// for, and nowhere else.
func (s *Site) tell() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s demo on %s\n\n", s.Title, s.Base)
	switch {
	case s.minted.forgotten():
		fmt.Fprintf(&b, "The database was filled earlier, and only its keys' hashes are kept: use the file that\n-credentials wrote then, or say -reseed for fresh keys.\n\n")
	case s.Credentials != "":
		fmt.Fprintf(&b, "Keys are in %s.\n\n", s.Credentials)
	default:
		for _, k := range s.minted.Keys {
			fmt.Fprintf(&b, "  %-20s %s\n", k.Name, k.Secret.Reveal())
		}
		b.WriteString("\n")
	}
	if len(s.minted.Keys) > 0 && !s.minted.forgotten() {
		k := s.minted.Keys[0]
		from := k.Secret.Reveal()
		if s.Credentials != "" {
			from = fmt.Sprintf("$(jq -r .keys.%s.key %s)", k.Name, s.Credentials)
		}
		fmt.Fprintf(&b, "  export KEY=%s\n", from)
	}
	for _, e := range s.here(s.Try) {
		fmt.Fprintf(&b, "\n  # %s\n  %s\n", e.About, strings.ReplaceAll(e.Command, "\n", "\n  "))
	}
	fmt.Fprintf(&b, "\nMore on %s/ and in the Developer page, %s/settings/developer.\n", s.Base, s.Base)
	return b.String()
}
