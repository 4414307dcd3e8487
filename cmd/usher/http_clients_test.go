package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A connection that the program takes over from net/http, and a client that
// finishes sending before it is answered: printf with a pipe into nc -N.
func TestHTTPRaw(t *testing.T) {
	t.Parallel()
	s := serve(t, "--workers", "2", "--", self(), "worker-web")
	c := dial(t, s.address)
	for _, line := range []string{"one\n", "two\n"} {
		if line == "one\n" { // what comes together with the request is not lost
			line = "GET /hijack HTTP/1.1\r\nHost: x\r\n\r\n" + line
		}
		if err := c.send(line); err != nil {
			t.Fatal(err)
		}
		want := "raw " + line[len(line)-len("one\n"):]
		if got, err := c.in.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
	c.leave(t)

	for _, request := range []string{
		"GET /me HTTP/1.0\r\n\r\n",
		"GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST /sum HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		c := dial(t, s.address)
		if err := errors.Join(c.send(request), c.conn.CloseWrite()); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(c.in)
		if err != nil || !bytes.Contains(answer, []byte(" 200 OK\r\n")) {
			t.Errorf("%q: got %q, %v", request, answer, err)
		}
		_ = c.conn.Close() // it has ended
	}
	s.stop()
}

// curl, by HTTP and HTTPS: two requests on one connection, and uploads with a
// length and in chunks.
func TestHTTPCurl(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("there is no curl here")
	}
	certFile, keyFile := certify(t)
	body, want := upload(sized(10_000_000, 100_000_000))
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			program := []string{"worker-web"}
			if scheme == "https" {
				program = []string{"worker-web-tls", certFile, keyFile}
			}
			s := serve(t, append([]string{"--workers", "2", "--", self()}, program...)...)
			url := scheme + "://" + s.address
			ask := func(args ...string) string {
				args = append([]string{"--silent", "--show-error", "--fail", "--noproxy", "*", "--http1.1", "--cacert", certFile,
					"--max-time", fmt.Sprint(limit.Seconds())}, args...)
				return outputOf(t, curl, args...)
			}
			got := ask("--write-out", " %{num_connects}\n", url+"/me", url+"/me")
			var first, second string
			var dialed, more int
			if _, err := fmt.Sscanf(got, "%s HTTP/1.1 %d\n%s HTTP/1.1 %d\n", &first, &dialed, &second, &more); err != nil ||
				first != second || dialed != 1 || more != 0 {
				t.Errorf("two requests: got %q, %v; want one connection for both", got, err)
			}
			for name, args := range map[string][]string{
				"length": {"--data-binary", "@" + file},
				"chunks": {"--header", "Transfer-Encoding: chunked", "--upload-file", file},
			} {
				if got := ask(append(args, url+"/sum")...); got != want {
					t.Errorf("upload by %s: got %q, want %q", name, got, want)
				}
			}
			s.stop()
		})
	}
}

// Python's client: as above.
func TestHTTPPython(t *testing.T) {
	t.Parallel()
	python := findPython(t)
	s := serve(t, "--workers", "2", "--", self(), "worker-web")
	body, want := upload(sized(1_000_000, 10_000_000))
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	const program = `
import http.client, sys
c = http.client.HTTPConnection(sys.argv[1], timeout=float(sys.argv[3]))
def ask(method, path, **args):
    c.request(method, path, **args)
    return c.getresponse().read().decode()
body = open(sys.argv[2], "rb").read()
pieces = (body[i:i + 65536] for i in range(0, len(body), 65536))
first = ask("GET", "/me")
print(ask("POST", "/sum", body=body))
print(ask("POST", "/sum", body=pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}))
print(ask("POST", "/back", body=b"there and back"))
print(ask("GET", "/me") == first)
c.close()
`
	got := outputOf(t, python, "-c", program, s.address, file, fmt.Sprint(limit.Seconds()))
	if want := want + "\n" + want + "\nthere and back\nTrue\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.stop()
}

// outputOf runs a program that bounds its own time.
func outputOf(t *testing.T, program string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", filepath.Base(program), err, &stderr)
	}
	return string(out)
}
