package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// patterned makes a file of a size whose every 64 KiB tell where they are, and in which
// version.
func patterned(t *testing.T, path string, size int, version byte) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := range size >> 16 {
		if _, err := file.Write(bytes.Repeat([]byte{version, byte(block), byte(block >> 8), 0}, 1<<14)); err != nil {
			t.Fatal(err)
		}
	}
}

// readPatterned reads all that comes, and returns how many bytes of that version they were.
func readPatterned(t *testing.T, r io.Reader, version byte) (n int, err error) {
	t.Helper()
	b := make([]byte, 1<<16)
	for {
		read, err := io.ReadFull(r, b)
		block := n >> 16
		if want := bytes.Repeat([]byte{version, byte(block), byte(block >> 8), 0}, 1<<14); !bytes.Equal(b[:read], want[:read]) {
			t.Fatalf("other bytes within the 64 KiB at %d", n)
		}
		if n += read; err != nil {
			return n, err
		}
	}
}

const patternedSize = 64 << 20 // more than sockets take

// A download of a file that is replaced, removed, grown or cut while it is sent, or of a part
// of it: all but the last are as if nothing had been, and that is seen to be cut by the client.
func TestFilesChangeWhileTheyAreSent(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		cut    bool
		after  int // the status of the next request
	}{
		{"replaced", func(t *testing.T, path string) {
			patterned(t, path+".new", 1<<16, 'b')
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}, false, 200},
		{"removed", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false, 404},
		{"grown", func(t *testing.T, path string) {
			if err := os.Truncate(path, 2*patternedSize); err != nil {
				t.Fatal(err)
			}
		}, false, 200},
		{"cut", func(t *testing.T, path string) {
			if err := os.Truncate(path, patternedSize/2); err != nil {
				t.Fatal(err)
			}
		}, true, 200},
	}
	for _, test := range tests {
		for _, how := range []struct {
			name    string
			open    bool // before, so that it is sent on the loop
			headers []string
			status  int
		}{
			{"the whole", false, nil, 200},
			{"the whole, open", true, nil, 200},
			{"a part", true, []string{"Range: bytes=0-"}, 206},
		} {
			t.Run(test.name+", "+how.name, func(t *testing.T) {
				t.Parallel()
				root := t.TempDir()
				path := filepath.Join(root, "a.bin")
				patterned(t, path, patternedSize, 'a')
				s := serveFiles(t, root)
				if how.open {
					fetch(t, s.address, "HEAD", "/a.bin")
				}
				answer, conn := begin(t, s.address, "GET", "/a.bin", how.headers...)
				defer conn.Close()
				if answer.StatusCode != how.status || answer.ContentLength != patternedSize {
					t.Fatalf("%d, %d bytes promised", answer.StatusCode, answer.ContentLength)
				}
				test.change(t, path)
				n, err := readPatterned(t, answer.Body, 'a')
				switch {
				case !test.cut && (n != patternedSize || err != io.EOF):
					t.Errorf("%d bytes, %v", n, err)
				case test.cut && (n > patternedSize/2 || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET)):
					t.Errorf("of one that is cut: %d bytes, %v", n, err)
				}
				until(t, "the change is seen", func() (bool, string) {
					answer, conn := begin(t, s.address, "HEAD", "/a.bin")
					_ = conn.Close() // there is no body
					return answer.StatusCode == test.after && answer.ContentLength != patternedSize, fmt.Sprint(answer.StatusCode, answer.ContentLength)
				})
				s.endFiles()
			})
		}
	}
}

// A root that is a symlink, changed by a reload, in the middle of a download and without
// one; and roots that a reload refuses.
func TestFilesRootByReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, version := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, version, "version"), version)
		patterned(t, filepath.Join(dir, version, "large"), patternedSize, version[0])
	}
	current := filepath.Join(dir, "current")
	point := func(to string) {
		t.Helper()
		if err := os.Symlink(to, current+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(current+".new", current); err != nil {
			t.Fatal(err)
		}
	}
	version := func(s *server, want string) {
		t.Helper()
		if _, body := fetch(t, s.address, "GET", "/version"); string(body) != want {
			t.Errorf("version %q, want %q", body, want)
		}
	}
	point("a")
	s := serveFiles(t, current)
	version(s, "a")
	answer, conn := begin(t, s.address, "GET", "/large")
	defer conn.Close()
	point("b")
	version(s, "a") // all of a generation serve one
	s.signal(unix.SIGHUP)
	s.until("the next generation serves", func(status master.Status) bool { return status.Generation == 2 })
	until(t, "the new root is served", func() (bool, string) {
		_, body := fetch(t, s.address, "GET", "/version")
		return string(body) == "b", string(body)
	})
	if n, err := readPatterned(t, answer.Body, 'a'); n != patternedSize || err != io.EOF {
		t.Errorf("a download through a reload: %d bytes, %v", n, err)
	}
	s.until("no old worker is left", ready(1))
	point("nowhere")
	s.refusesReload("root "+current, "no such file")
	point("b/version")
	s.refusesReload("root "+current, "is not a folder")
	version(s, "b")
	s.endFiles()
}
