package strikeplate

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
)

// The response writers remember the status and keep what the server's own can
// do. Handlers still find http.Flusher, http.Hijacker and io.ReaderFrom by type
// assertion where the server offers them, and everything else through Unwrap
// (http.ResponseController).
//
// They are nested, so that one field of type fullWriter serves for all three.
type plainWriter struct {
	http.ResponseWriter
	exchange *Exchange
}

type flushWriter struct{ plainWriter }

type fullWriter struct{ flushWriter }

// wrap fills the writer and returns it as what w can be.
func (f *fullWriter) wrap(w http.ResponseWriter, x *Exchange) http.ResponseWriter {
	f.ResponseWriter, f.exchange = w, x
	if _, ok := w.(http.Flusher); !ok {
		return &f.plainWriter
	}
	if _, ok := w.(http.Hijacker); !ok {
		return &f.flushWriter
	}
	return f
}

func (p *plainWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *plainWriter) WriteHeader(status int) {
	p.exchange.setStatus(status)
	p.ResponseWriter.WriteHeader(status)
}

func (p *plainWriter) Write(b []byte) (int, error) {
	p.exchange.setStatus(http.StatusOK)
	return p.ResponseWriter.Write(b)
}

// WriteString spares io.WriteString a copy, as the server's own does.
func (p *plainWriter) WriteString(s string) (int, error) {
	p.exchange.setStatus(http.StatusOK)
	return io.WriteString(p.ResponseWriter, s)
}

// FlushError is what http.ResponseController looks for before Flush; without it
// a stream wouldn't learn that its client left.
func (p *plainWriter) FlushError() error {
	err := http.NewResponseController(p.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		p.exchange.setStatus(http.StatusOK)
	}
	return err
}

func (f *flushWriter) Flush() { _ = f.FlushError() }

func (f *fullWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(f.ResponseWriter).Hijack()
	if err == nil {
		f.exchange.setStatus(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// ReadFrom keeps sendfile working for handlers that copy files. A source that
// failed at once has not begun the response: there is an error to tell yet.
func (f *fullWriter) ReadFrom(src io.Reader) (int64, error) {
	n, err := io.Copy(f.ResponseWriter, src)
	if n > 0 {
		f.exchange.setStatus(http.StatusOK)
	}
	return n, err
}
