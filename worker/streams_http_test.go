package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// serveHTTP is what the documentation of Streams has.
func serveHTTP(server *http.Server) worker.Handler {
	return worker.Streams(func(l net.Listener) error {
		if err := server.Serve(l); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	})
}

// httpClient returns a client whose connections are handed to the worker, and
// a function that counts them.
func (s *rig) httpClient() (client *http.Client, dialed func() int) {
	count := 0
	transport := &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			count++
			return s.connect().Conn, nil
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the server's certificate is made up
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: patience}, func() int { return count }
}

func testMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello ", r.RemoteAddr) })
	mux.HandleFunc("GET /chunked", func(w http.ResponseWriter, r *http.Request) {
		for i := range 100 {
			fmt.Fprintln(w, i)
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "streams_test.go") })
	mux.HandleFunc("POST /upload", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n') // what came is answered
		_, _ = io.WriteString(conn, "raw "+line)
	})
	return mux
}

func testHTTP(t *testing.T, s *rig, scheme string) {
	client, dialed := s.httpClient()
	get := func(path string) string {
		t.Helper()
		response, err := client.Get(scheme + "://" + s.address + path)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		check(t, err)
		return string(body)
	}
	first := get("/hello")
	if second := get("/hello"); second != first || !strings.HasPrefix(first, "hello 127.0.0.1:") {
		t.Errorf("got %q, then %q", first, second)
	}
	var numbers strings.Builder
	for i := range 100 {
		fmt.Fprintln(&numbers, i)
	}
	if got := get("/chunked"); got != numbers.String() {
		t.Errorf("chunked: got %.80q", got)
	}
	want, err := os.ReadFile("streams_test.go")
	check(t, err)
	if got := get("/file"); got != string(want) {
		t.Errorf("file: %d bytes, want %d", len(got), len(want))
	}
	const size = 3 << 20
	response, err := client.Post(scheme+"://"+s.address+"/upload", "", bytes.NewReader(make([]byte, size)))
	check(t, err)
	body, err := io.ReadAll(response.Body)
	check(t, errors.Join(err, response.Body.Close()))
	if want := fmt.Sprint(size, nil); string(body) != want {
		t.Errorf("upload: got %q, want %q", body, want)
	}
	if n := dialed(); n != 1 {
		t.Errorf("%d connections for requests one after the other, want 1 kept alive", n)
	}
	client.CloseIdleConnections()
	s.untilEven(1)
}

func TestHTTP(t *testing.T) {
	s := newRig(t, serveHTTP(&http.Server{Handler: testMux()}))
	testHTTP(t, s, "http")
	c := s.connect()
	c.send("GET /hijack HTTP/1.1\r\nHost: x\r\n\r\nline\n")
	c.expect("raw line\n")
	c.expectEnd()
	s.untilEven(2)
}

func TestHTTPS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(t, err)
	server := &http.Server{Handler: testMux(), TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	}}
	s := newRig(t, worker.Streams(func(l net.Listener) error {
		if err := server.ServeTLS(l, "", ""); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	}))
	testHTTP(t, s, "https")
}

// A drain serves what is in the queue, ends idle keep-alive connections, and
// waits for the request that is under way.
func TestHTTPDrain(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	mux := testMux()
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-release
		fmt.Fprint(w, "slow")
	})
	s := newRig(t, serveHTTP(&http.Server{Handler: mux}))
	var idle []*client
	for range 10 {
		c := s.connect()
		c.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		check(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		check(t, err)
		idle = append(idle, c)
	}
	busy := s.connect()
	busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, entered)
	s.tell(ipc.Drain{Mode: ipc.DrainFinish, DeadlineMS: patience.Milliseconds()})
	for _, c := range idle {
		c.expectEnd()
	}
	close(release)
	response, err := http.ReadResponse(bufio.NewReader(busy), nil)
	check(t, err)
	if body, err := io.ReadAll(response.Body); string(body) != "slow" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
	s.wait()
	check(t, s.err)
	s.untilEven(11)
}
