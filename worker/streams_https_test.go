package worker_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/httpworker"
)

// httpsClient returns a client of a worker; connect returns a connection to that.
func httpsClient(t *testing.T, config *tls.Config, http2 bool, connect func() *client) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!http2)
	protocols.SetHTTP2(http2)
	transport := &http.Transport{
		DialContext:     func(context.Context, string, string) (net.Conn, error) { return connect().Conn, nil },
		TLSClientConfig: config.Clone(), Protocols: protocols,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}
}

// ask gets a page and returns it.
func ask(client *http.Client) (string, error) {
	response, err := client.Get("https://server.test/")
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	return string(body), errors.Join(err, response.Body.Close())
}

var httpVersions = []struct {
	proto string
	http2 bool
}{{"HTTP/1.1", false}, {"HTTP/2.0", true}}

// A server of net/http sees TLS, speaks what was agreed on, and knows the client's address.
func TestStreamHTTPS(t *testing.T) {
	for _, test := range httpVersions {
		t.Run(test.proto, func(t *testing.T) {
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Proto, " ", r.TLS != nil && r.TLS.HandshakeComplete, " ", r.RemoteAddr)
			})}
			s, config := newPassing(t, ipc.Hello{}, withTLS, worker.Streams(func(l net.Listener) error {
				return httpworker.Serve(l, server, 0)
			}), worker.WithALPN("h2", "http/1.1"))
			client := httpsClient(t, config, test.http2, s.connect)
			for range 3 {
				got, err := ask(client)
				if want := test.proto + " true 127.0.0.1:"; err != nil || !strings.HasPrefix(got, want) {
					t.Errorf("got %q, %v; want %q", got, err, want)
				}
			}
			client.CloseIdleConnections()
			s.untilEven(1)
			s.expectCounts(1, 0, 0)
		})
	}
}

// No request is lost by a worker's end: clients that never stop asking go over to its
// successor by themselves, by HTTP/1.1 and HTTP/2.
func TestStreamHTTPSReload(t *testing.T) {
	const clients, reloads = 6, 2
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	for _, test := range httpVersions {
		t.Run(test.proto, func(t *testing.T) {
			start := func() (*rig, *tls.Config) {
				return newPassing(t, ipc.Hello{}, withTLS, worker.Streams(func(l net.Listener) error {
					return httpworker.Serve(l, &http.Server{Handler: handler}, patience) // all have gone over by then
				}), worker.WithALPN("h2", "http/1.1"))
			}
			var mu sync.Mutex // guards now, and what start and connect do
			now, config := start()
			connect := func() *client {
				mu.Lock()
				defer mu.Unlock()
				return now.connect()
			}
			var answers atomic.Int64
			var stopped atomic.Bool
			var all sync.WaitGroup
			for range clients {
				client := httpsClient(t, config, test.http2, connect)
				all.Go(func() {
					for !stopped.Load() {
						if got, err := ask(client); err != nil || got != "hello" {
							t.Errorf("got %q, %v", got, err)
							return
						}
						answers.Add(1)
					}
				})
			}
			for range reloads {
				seen := answers.Load()
				now.until(func() bool { return answers.Load() > seen+10*clients || t.Failed() })
				mu.Lock()
				old := now
				now, _ = start()
				mu.Unlock()
				old.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: 2 * patience.Milliseconds()})
				old.wait()
				check(t, old.err)
				if n := old.entry.Cut.Load(); n > 0 {
					t.Errorf("%d connections were cut", n)
				}
			}
			stopped.Store(true)
			all.Wait()
		})
	}
}
