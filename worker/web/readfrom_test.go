package web

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReadFrom is about which sources are sent as files, and whether they stand behind it
// where reading would have left them.
func TestReadFrom(t *testing.T) {
	const size = 100_000
	known := func(w rw, n int) {
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("Content-Length", strconv.Itoa(n))
	}
	tests := []struct {
		name   string
		source func(f *os.File) io.Reader
		length int // declared; -1: none
		want   int
		pieces string // of the wire; "" is any
		unfit  bool
	}{
		{"file", func(f *os.File) io.Reader { return f }, size, size, "bf", false},
		{"part", func(f *os.File) io.Reader { return io.LimitReader(f, 50_000) }, 50_000, 50_000, "bf", false},
		{"part beyond the end", func(f *os.File) io.Reader { return io.LimitReader(f, 2*size) }, size, size, "bf", false},
		{"section", func(f *os.File) io.Reader { return io.NewSectionReader(f, 10_000, 50_000) }, 50_000, 50_000, "bf", false},
		{"part of a section", func(f *os.File) io.Reader { return io.LimitReader(io.NewSectionReader(f, 10_000, 50_000), 20_000) }, 20_000, 20_000, "bf", false},
		{"short part", func(f *os.File) io.Reader { return io.LimitReader(f, 1000) }, 1000, 1000, "b", false},
		{"no length", func(f *os.File) io.Reader { return f }, -1, size, "", false},
		{"not sendable", func(f *os.File) io.Reader { return f }, size, size, "", true},
		{"other", func(f *os.File) io.Reader { return struct{ io.Reader }{f} }, size, size, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := file(size).(*os.File)
			defer f.Close()
			wire := &recorder{unfit: test.unfit}
			source := test.source(f)
			serveForTest(t, get11, http.HandlerFunc(func(w rw, r req) {
				if w.Header().Set("Content-Type", "a/b"); test.length >= 0 {
					known(w, test.length)
				}
				n, err := w.(io.ReaderFrom).ReadFrom(source)
				if n != int64(test.want) || err != nil {
					t.Errorf("%d bytes, %v", n, err)
				}
			}), wire, io.Discard)
			_, body, _ := strings.Cut(wire.sent.String(), "\r\n\r\n")
			if test.length >= 0 && len(body) != test.want || strings.Trim(body, "file \r\n0123456789abcd") != "" {
				t.Errorf("a body of %d bytes", len(body))
			}
			pieces := strings.Join(wire.pieces, "")
			if test.pieces != "" && pieces != test.pieces || test.pieces == "" && strings.Contains(pieces, "f") {
				t.Errorf("pieces %q, want %q", pieces, test.pieces)
			}
			if rest, err := io.ReadAll(source); len(rest) > 0 || err != nil {
				t.Errorf("%d bytes are left, %v", len(rest), err)
			}
			if wire.ending != keepAlive {
				t.Error("the connection does not go on")
			}
		})
	}
}

// TestFileLongerThanDeclared: no byte of it goes where the next response is to be.
func TestFileLongerThanDeclared(t *testing.T) {
	f := file(100_000).(*os.File)
	defer f.Close()
	var wire recorder
	serveForTest(t, get11, http.HandlerFunc(func(w rw, r req) {
		w.Header().Set("Content-Type", "a/b")
		w.Header().Set("Content-Length", "50000")
		n, err := w.(io.ReaderFrom).ReadFrom(f)
		if n != 50_000 || !errors.Is(err, http.ErrContentLength) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}), &wire, io.Discard)
	if _, body, _ := strings.Cut(wire.sent.String(), "\r\n\r\n"); len(body) != 50_000 || wire.ending != closeAfter {
		t.Errorf("a body of %d bytes, ending %d", len(body), wire.ending)
	}
}
