package master

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/usher-go/usher/internal/leaktest"
	"golang.org/x/sys/unix"
)

func TestAdminAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":                "",
		"127.0.0.1:9100":  "",
		"[::1]:0":         "",
		"app1.test:9100":  "",
		"0.0.0.0:9100":    "",
		":9100":           "want a host before the port",
		"127.0.0.1":       "want HOST:PORT",
		"127.0.0.1:":      "want a port",
		"127.0.0.1:x-y":   "want a port",
		"127.0.0.1:70000": "want a port",
		"unix:///run/a":   "want a port",
	} {
		err := (&Config{Admin: address}).checkAdmin()
		if (err == nil) != (want == "") || !strings.Contains(text(err), want) {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}

// Who asks for IPv4 alone is not reached by IPv6.
func TestAdminAddressFamilies(t *testing.T) {
	leaktest.Descriptors(t)
	for _, host := range []string{"0.0.0.0", "127.0.0.1", "[::]"} {
		socket, bound, err := listenAdmin(host + ":0")
		if err != nil && host == "[::]" {
			t.Logf("there is no IPv6 here: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(bound, host+":") {
			t.Errorf("%s: at %s", host, bound)
		}
		_ = unix.Close(socket) // a listener has nothing to flush
	}
}

// Only requests that name the server are answered: a page of another site is not to read
// it by somebody's browser.
func TestAdminHosts(t *testing.T) {
	for name, test := range map[string]struct {
		asked, host string
		want        bool
	}{
		"an address":            {"127.0.0.1:9100", "127.0.0.1", true},
		"of version 6":          {"[::1]:9100", "127.0.0.1", true},
		"without a port":        {"[::1]", "127.0.0.1", true},
		"another address":       {"10.0.0.1:9100", "0.0.0.0", true}, // there may be several, and no name is one
		"localhost":             {"localhost:9100", "127.0.0.1", true},
		"the name":              {"app1.test:9100", "app1.test", true},
		"in other letters":      {"App1.TEST.:9100", "app1.test", true},
		"another name":          {"evil.test:9100", "127.0.0.1", false},
		"a name before it":      {"127.0.0.1.evil.test:9100", "127.0.0.1", false},
		"a name behind it":      {"evil.app1.test", "app1.test", false},
		"nothing":               {"", "127.0.0.1", false},
		"a name like localhost": {"localhost.evil.test", "127.0.0.1", false},
	} {
		if got := namesServer(test.asked, test.host); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// Nothing that changes anything is there, nor what tells of clients.
func TestAdminReadsOnly(t *testing.T) {
	s := &supervisor{done: make(chan struct{})}
	s.inbox.Notify = func() {}
	close(s.done)
	handler := adminAPI(s, "127.0.0.1")
	for request, want := range map[string]int{
		"GET /livez": http.StatusServiceUnavailable, "GET /readyz": http.StatusServiceUnavailable, "GET /metrics": http.StatusServiceUnavailable, // it has ended
		"POST /metrics": http.StatusMethodNotAllowed, "GET /": http.StatusNotFound,
		"POST /v1/stop": http.StatusNotFound, "POST /v1/reload": http.StatusNotFound, "GET /v1/status": http.StatusNotFound, "GET /v1/connections": http.StatusNotFound,
	} {
		method, path, _ := strings.Cut(request, " ")
		r := httptest.NewRequest(method, "http://127.0.0.1:9100"+path, nil)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != want || want == http.StatusNotFound && !strings.Contains(w.Body.String(), "no such endpoint: "+path+"; there are /livez, /metrics, /readyz") {
			t.Errorf("%s: %d %s, want %d", request, w.Code, w.Body, want)
		}
		r.Host = "evil.test"
		w = httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("%s of another host: %d", request, w.Code)
		}
	}
}
