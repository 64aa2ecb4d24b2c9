package strikeplate

import (
	"bufio"
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

func (f *flushWriter) Flush() {
	f.exchange.setStatus(http.StatusOK)
	if flusher, ok := f.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

func (f *fullWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(f.ResponseWriter).Hijack()
	if err == nil {
		f.exchange.setStatus(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// ReadFrom keeps sendfile working for handlers that copy files.
func (f *fullWriter) ReadFrom(src io.Reader) (int64, error) {
	f.exchange.setStatus(http.StatusOK)
	return io.Copy(f.ResponseWriter, src)
}
