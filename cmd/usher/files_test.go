package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// serveFiles starts a server of the files below a folder.
func serveFiles(t *testing.T, root string, args ...string) *server {
	t.Helper()
	return serve(t, append([]string{"--workers", "1", "--app", "files", "--root", root}, args...)...)
}

// endFiles ends a server that may have files open still, as it has for some seconds.
func (s *server) endFiles() {
	s.t.Helper()
	s.signal(unix.SIGTERM)
	s.ends(0)
}

// fetch asks for a path, with headers as "Name: value", on a connection of its own.
func fetch(t *testing.T, address, method, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	answer, conn := begin(t, address, method, path, headers...)
	defer conn.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Errorf("%s %.80s: %v after %d bytes", method, path, err, len(body))
	}
	return answer, body
}

// begin is fetch that leaves the body to the caller, who closes the connection. The path
// is sent as it is.
func begin(t *testing.T, address, method, path string, headers ...string) (*http.Response, net.Conn) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(limit)) // a socket has deadlines
	text := method + " " + path + " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
	for _, header := range headers {
		text += header + "\r\n"
	}
	if _, err := io.WriteString(conn, text+"\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %.80s: %v", method, path, err)
	}
	return answer, conn
}

// No way to write a path leads out of the root, or to what is hidden in it, and nothing in
// it that is no file holds up anybody.
func TestFilesOutsideOfTheRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	const secret = "secret"
	for _, name := range []string{"outside", "root/.hidden", "root/.git/config", "root/sub/.env"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), secret)
	}
	writeFile(t, filepath.Join(root, "sub", "page"), "page")
	for name, to := range map[string]string{"link": "../outside", "absolute": filepath.Join(dir, "outside"), "up": "..", "sub/up": "../..", "root": "/", "good": "sub/page", "self": "self"} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(root, "fifo"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(root, "device"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil { // zero(4), without end
		t.Logf("without a device: %v", err)
	}
	socket, err := net.Listen("unix", filepath.Join(root, "socket"))
	if err != nil {
		t.Logf("without a socket: %v", err) // the folder's name is too long
	} else {
		defer socket.Close()
	}
	s := serveFiles(t, root)
	up := []string{"..", "%2e%2e", "%2E.", ".%2e", "..%2f", "..%5c", `..\`, "%252e%252e", "..;", "...", "%c0%ae%c0%ae", "..%00", ".%00."}
	var paths []string
	for _, u := range up {
		for _, before := range []string{"/", "//", "/sub/", "/sub//", "/%2f", "/.well-known/", "/sub/page/", "/./", "/%5c"} {
			paths = append(paths, before+u+"/outside", before+u+"/"+u+"/outside", before+u+"/.hidden", before+strings.Repeat(u+"/", 20)+"etc/passwd")
		}
	}
	paths = append(paths, "/.hidden", "/%2ehidden", "//.hidden", "/sub/../.hidden", "/.git/config", "/.git%2fconfig", "/sub/.env", "/sub%2f.env", "/.hidden%00", "/sub/page%00.html",
		"/link", "/absolute", "/up/outside", "/sub/up/outside", "/root/etc/passwd", "/root", "/self", "/link/", "/fifo", "/device", "/socket", "/fifo/", "/device?x",
		"/"+strings.Repeat("a", 300), strings.Repeat("/a", 5000), "/"+strings.Repeat("sub/../", 2000)+"outside", "/outside", "http://test/../outside", "http://test/%2e%2e/outside")
	for _, path := range paths {
		answer, body := fetch(t, s.address, "GET", path)
		if code := answer.StatusCode; code != 404 && code != 400 || bytes.Contains(body, []byte(secret)) || bytes.Contains(body, []byte("root:")) {
			t.Errorf("%.80s: %d, %.80q", path, code, body)
		}
	}
	for _, path := range []string{"/sub/page", "/good", "//sub///page", "/sub%2fpage", "/%73ub/page?/../x", "http://test/sub/page"} {
		if answer, body := fetch(t, s.address, "GET", path); answer.StatusCode != 200 || string(body) != "page" {
			t.Errorf("%s: %d, %q", path, answer.StatusCode, body)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"} {
		if answer, _ := fetch(t, s.address, method, "/sub/page", "Content-Length: 0"); answer.StatusCode != 405 || answer.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, %v", method, answer.StatusCode, answer.Header)
		}
	}
	s.endFiles()
}

// Very many ranges, and such as overlap, cost no more than the whole file.
func TestFilesRangeBombs(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	if err := os.WriteFile(filepath.Join(root, "a.bin"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	s := serveFiles(t, root)
	tests := []struct {
		name, ranges string
		status, most int
	}{
		{"the whole a thousand times", strings.Repeat("0-,", 1000) + "0-", 200, len(content)},
		{"a byte a hundred thousand times", strings.Repeat("0-0,", 100_000) + "0-0", 200, len(content)},
		{"many that are nested", nested(199), 200, len(content)},
		{"two", "0-1,4-5", 206, 1000},
		{"one", "2-4", 206, 3},
		{"beyond the end", "1000000-", 416, 1000},
		{"a number beyond 64 bits", "0-99999999999999999999999", 416, 1000},
		{"nothing", "", 200, len(content)},
		{"words", "a-b", 416, 1000},
	}
	for range 2 { // not open yet, and open
		for _, test := range tests {
			answer, body := fetch(t, s.address, "GET", "/a.bin", "Range: bytes="+test.ranges)
			if answer.StatusCode != test.status || len(body) > test.most {
				t.Errorf("%s: %d, %d bytes; want %d, at most %d", test.name, answer.StatusCode, len(body), test.status, test.most)
			}
			if test.status == 200 && !bytes.Equal(body, content) {
				t.Errorf("%s: not the file", test.name)
			}
		}
	}
	s.endFiles()
}

func nested(n int) string {
	var ranges []string
	for i := range n {
		ranges = append(ranges, fmt.Sprintf("%d-%d", i, 60_000-i))
	}
	return strings.Join(ranges, ",")
}
