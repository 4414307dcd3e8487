package web

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/workertest"
)

// leastMaxOutput is what the page and Handler's documentation say.
const leastMaxOutput = 512 << 10

// The least WithMaxOutput that the package's documentation allows is enough for a handler
// that writes as fast as it can to wait for its client.
func TestLeastMaxOutput(t *testing.T) {
	const times, size = 500, 30_000 // more than the kernel takes at once
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", size)
	workertest.Serve(t, l, Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range times {
			if _, err := io.WriteString(w, body); err != nil {
				t.Error(err)
				return
			}
		}
	})), worker.WithMaxOutput(leastMaxOutput))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if n, err := io.Copy(io.Discard, answer.Body); n != times*size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}
