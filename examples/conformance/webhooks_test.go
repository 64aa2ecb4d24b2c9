package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// hook is a receiver of webhooks on this machine.
type hook struct {
	url  string
	came chan event
}

// event is a request that a webhook got.
type event struct {
	signature string
	body      string
}

func (p *probe) receiver() hook {
	p.Helper()
	h := hook{came: make(chan event, 16)}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		if err == nil {
			h.came <- event{r.Header.Get("Mavio-Signature"), string(body)}
		}
	}))
	p.Cleanup(s.Close)
	h.url = s.URL + "/hook"
	return h
}

// delivered deletes a meeting, and waits until the webhook is told, with a
// signature by the secret.
func delivered(p *probe, h hook, secret, text, meeting string) {
	p.Helper()
	p.call(http.MethodDelete, text, "/meetings/"+meeting, nil).want(http.StatusNoContent)
	for deadline := time.After(20 * time.Second); ; {
		select {
		case e := <-h.came:
			if !strings.Contains(e.body, meeting) {
				continue
			}
			stamp, sum, _ := strings.Cut(strings.TrimPrefix(e.signature, "t="), ",v1=")
			mac := hmac.New(sha256.New, []byte(secret))
			mac.Write([]byte(stamp + "." + e.body))
			if secret == "" || sum != hex.EncodeToString(mac.Sum(nil)) {
				p.Errorf("the delivery is not signed by the webhook's secret: %q", e.signature)
			}
			return
		case <-deadline:
			p.Errorf("nothing was delivered to %s", h.url)
			return
		}
	}
}
