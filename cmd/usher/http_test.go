package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

func init() {
	helpers["worker-web"] = func() { streamsWeb(func(s *http.Server, l net.Listener) error { return s.Serve(l) }) }
	helpers["worker-web-tls"] = func() { // with the files of a certificate and its key
		streamsWeb(func(s *http.Server, l net.Listener) error { return s.ServeTLS(l, os.Args[2], os.Args[3]) })
	}
}

// streamsWeb is a worker made of net/http, with a bit of everything.
func streamsWeb(serve func(*http.Server, net.Listener) error) {
	server := &http.Server{Handler: webMux()}
	worker.Main(worker.Streams(func(l net.Listener) error {
		if err := serve(server, l); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return server.Shutdown(context.Background())
	}))
}

func webMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.RemoteAddr, r.Proto) })
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%d %x %v", n, sum.Sum(nil), err)
	})
	// What comes is sent back at once, while more is to come.
	mux.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		err := errors.Join(control.EnableFullDuplex(), control.Flush())
		for b := make([]byte, 4096); err == nil; {
			var n int
			n, err = r.Body.Read(b)
			_, writeErr := w.Write(b[:n])
			err = errors.Join(err, writeErr, control.Flush())
		}
		if !errors.Is(err, io.EOF) {
			panic(http.ErrAbortHandler) // the client is to see that it is not whole
		}
	})
	mux.HandleFunc("GET /hijack", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer conn.Close()
		for {
			line, err := rw.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(conn, "raw %s", line) // if it fails, so will the next read
		}
	})
	return mux
}

// upload is random bytes, the same each time, and their answer from /sum.
func upload(n int) (body []byte, answer string) {
	body = make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(body) // never fails
	return body, fmt.Sprintf("%d %x <nil>", n, sha256.Sum256(body))
}

// webClients are Go's clients by protocol, and how the worker is started for it.
var webClients = []struct {
	proto  string
	scheme string
	http2  bool
}{
	{"HTTP/1.1", "http", false},
	{"HTTP/1.1", "https", false},
	{"HTTP/2.0", "https", true},
}

// Everything that net/http does with a connection works on one that came from
// the master.
func TestHTTPGoClient(t *testing.T) {
	t.Parallel()
	certFile, keyFile := certify(t)
	for _, test := range webClients {
		t.Run(test.scheme+" "+test.proto, func(t *testing.T) {
			program := []string{"worker-web"}
			if test.scheme == "https" {
				program = []string{"worker-web-tls", certFile, keyFile}
			}
			s := serve(t, append([]string{"--workers", "2", "--", self()}, program...)...)
			transport := &http.Transport{TLSClientConfig: trust(t, certFile), ForceAttemptHTTP2: test.http2}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport, Timeout: limit}
			url := test.scheme + "://" + s.address

			me := webAnswer(t, client, "GET", url+"/me", nil)
			if !strings.HasSuffix(me, " "+test.proto) {
				t.Errorf("answered %q, want %s", me, test.proto)
			}
			body, want := upload(sized(10_000_000, 100_000_000))
			start := time.Now()
			if got := webAnswer(t, client, "POST", url+"/sum", bytes.NewReader(body)); got != want {
				t.Errorf("upload: %q, want %q", got, want)
			}
			t.Logf("%d bytes uploaded in %v", len(body), time.Since(start).Round(time.Millisecond))
			if again := webAnswer(t, client, "GET", url+"/me", nil); again != me {
				t.Errorf("answered %q, then %q: want the same connection", me, again)
			}
			bothWays(t, client, url)

			transport.CloseIdleConnections()
			status := s.until("the connection is closed", func(status master.Status) bool { return status.Connections.Active == 0 })
			if c := status.Connections; c.Accepted != 1 || c.Closed != 1 {
				t.Errorf("%+v, want one connection, kept alive", c)
			}
			s.stop()
		})
	}
}

func webAnswer(t *testing.T, client *http.Client, method, url string, body io.Reader) string {
	t.Helper()
	request, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := webDo(client, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func webDo(client *http.Client, request *http.Request) (string, error) {
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return string(answer), err
}

// bothWays has a request and its answer, both chunked, go on at the same time.
func bothWays(t *testing.T, client *http.Client, url string) {
	t.Helper()
	talk := startTalk(t, client, url)
	for n := range 10 {
		talk.say(t, fmt.Sprintf("part %d", n))
	}
	talk.finish(t)
}

// webTalk is a request to /back that is under way until it is finished.
type webTalk struct {
	request  *io.PipeWriter
	response *http.Response
	in       *bufio.Reader
}

func startTalk(t *testing.T, client *http.Client, url string) *webTalk {
	t.Helper()
	body, w := io.Pipe()
	t.Cleanup(func() { _ = w.Close() }) // if the story did not come to its end
	response, err := client.Post(url+"/back", "", body)
	if err != nil {
		t.Fatal(err)
	}
	if response.ContentLength != -1 {
		t.Errorf("the answer has a length, %d", response.ContentLength)
	}
	return &webTalk{w, response, bufio.NewReader(response.Body)}
}

func (c *webTalk) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c.request, line+"\n"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.in.ReadString('\n'); got != line+"\n" || err != nil {
		t.Fatalf("said %q, got %q, %v", line, got, err)
	}
}

func (c *webTalk) finish(t *testing.T) {
	t.Helper()
	_ = c.request.Close() // of a pipe: it never fails
	rest, err := io.ReadAll(c.in)
	if err := errors.Join(err, c.response.Body.Close()); len(rest) > 0 || err != nil {
		t.Errorf("at the end: %q, %v", rest, err)
	}
}
