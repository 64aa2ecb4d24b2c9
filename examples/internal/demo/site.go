package demo

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/strikeplate/strikeplate/examples/internal/meetings"
)

// Product is one of the example servers.
type Product struct {
	// Name is the command's, and Title what pages call the product.
	Name, Title string
	// Try is what to try, for the front page and the terminal. In the texts BASE
	// stands for the server's address, and $KEY for a key.
	Try []Example
	// Pages are what there is to see besides the Developer page.
	Pages []Page
	// Controls are those of the demo's controls that mean something to this product,
	// besides the ones that do for all.
	Controls []Example
	// Run wires the server and serves until ctx ends.
	Run func(ctx context.Context, site *Site) error
}

// Example is a command and what comes of it.
type Example struct{ About, Command string }

// Page is a link on the front page.
type Page struct{ Path, Title, About string }

// Controls that mean something to more than one product.
var (
	ControlPlan = Example{"Another plan: free, pro, team or enterprise", `curl -H 'Content-Type: application/json' -d '{"plan": "free"}' BASE/demo/organisations/org_acme`}
	ControlUser = Example{"Bo leaves, and with true comes back", `curl -H 'Content-Type: application/json' -d '{"active": false}' BASE/demo/users/usr_bo`}
)

// Site is what a server gets from this package.
type Site struct {
	Product
	Options
	// Base is the server's address, such as http://127.0.0.1:8080.
	Base           string
	TrustedProxies []netip.Prefix
	Clock          *Clock
	// Store keeps keys and accounts, Meetings what the keys are for.
	Store    Store
	Meetings *meetings.Store

	listener net.Listener
	root     []byte
	minted   Minted
	closing  []func()
}

// Main runs a server until it is interrupted.
func Main(p Product) {
	o, err := parse(p.Name, os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	o.Out = os.Stdout
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if err == nil {
		err = Run(ctx, p, o)
	}
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", p.Name, err)
		os.Exit(1)
	}
}

// Run runs a server until ctx ends.
func Run(ctx context.Context, p Product, o Options) error {
	site, err := open(ctx, p, o)
	if err != nil {
		return err
	}
	defer site.close()
	return p.Run(ctx, site)
}

func open(ctx context.Context, p Product, o Options) (_ *Site, err error) {
	s := &Site{Product: p, Options: o, Clock: &Clock{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.TrustedProxies, err = o.proxies(); err != nil {
		return nil, err
	}
	if s.listener, err = o.listen(); err != nil {
		return nil, err
	}
	s.later(func() { _ = s.listener.Close() })
	s.Base = base(s.listener.Addr())
	if s.Meetings, err = meetings.Open(ctx, o.DB); err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	s.later(func() { _ = s.Meetings.Close() })
	err = meetings.Patiently(ctx, func() (err error) {
		s.Store, err = openStore(ctx, o.DB)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("-db: %w", err)
	}
	s.later(func() {
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Store.Close(grace)
	})
	s.root, err = s.secret(ctx)
	return s, err
}

func (s *Site) later(f func()) { s.closing = append(s.closing, f) }

func (s *Site) close() {
	for i := len(s.closing) - 1; i >= 0; i-- {
		s.closing[i]()
	}
}

// base is an address that a browser on this machine can open.
func base(addr net.Addr) string {
	host, port, _ := net.SplitHostPort(addr.String())
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Secret is 32 bytes for one purpose, the same for all instances on a database.
// A real service reads such secrets from its secrets manager.
func (s *Site) Secret(purpose string) []byte {
	key, err := hkdf.Key(sha256.New, s.root, nil, "strikeplate demo "+strings.ToLower(purpose), 32)
	if err != nil {
		panic(err) // 32 bytes can always be had
	}
	return key
}
