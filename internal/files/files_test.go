package files

import (
	"bytes"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a folder that is served, with a clock that the test moves.
type site struct {
	*Handler
	t   *testing.T
	dir string
	now time.Duration
	log bytes.Buffer
}

func newSite(t *testing.T, o Options) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "root")}
	must(t, os.Mkdir(s.dir, 0o755))
	o.ErrorLog = log.New(&s.log, "", 0)
	var err error
	s.Handler, err = Open(s.dir, o)
	must(t, err)
	s.clock = func() time.Duration { return s.now }
	t.Cleanup(func() { must(t, s.Close()) })
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *site) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(s.t, os.WriteFile(path, []byte(text), 0o644))
}

// request makes one; headers are "Name: value".
func request(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	path, query, _ := strings.Cut(target, "?")
	r.URL.Path, r.URL.RawQuery = path, query
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// ask has a request answered as a server does: on the loop if that can be, else on a
// goroutine. inline says which.
func (s *site) ask(r *http.Request) (answer *http.Response, body string, inline bool) {
	s.t.Helper()
	w := httptest.NewRecorder()
	if inline = s.ServeInline(w, r); !inline {
		if w.Body.Len() > 0 || len(w.Header()) > 0 {
			s.t.Fatal("not served, and yet something is written")
		}
		s.ServeHTTP(w, r)
	}
	return w.Result(), w.Body.String(), inline
}

// Each request twice: the second is answered from what the first has opened.
func TestAnswers(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.txt", "0123456789")
	s.write("index.html", "<p>home")
	s.write("sub/index.html", "<p>sub")
	s.write("bare/x.css", "p{}")
	s.write("a b&c/index.html", "odd")
	s.write("noext", "?")
	s.write(".secret", "no")
	s.write(".well-known/token", "yes")
	s.write("empty.txt", "")
	large := strings.Repeat("large", 10_000)
	s.write("large.bin", large)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(s.dir), "outside"), []byte("no"), 0o644))
	for name, to := range map[string]string{"in": "a.txt", "out": "../outside", "absolute": filepath.Join(s.dir, "a.txt"), "circle": "circle", "outdir": "..", "nowhere": "x"} {
		must(t, os.Symlink(to, filepath.Join(s.dir, name)))
	}
	must(t, unix.Mkfifo(filepath.Join(s.dir, "fifo"), 0o644))
	must(t, unix.Mkfifo(filepath.Join(s.dir, "a.txt.gz"), 0o644))
	tests := []struct {
		name    string
		request *http.Request
		status  int
		body    string
		headers string // name: value, by lines
	}{
		{"file", request("GET", "/a.txt"), 200, "0123456789", "Content-Type: text/plain; charset=utf-8\nContent-Length: 10\nAccept-Ranges: bytes"},
		{"query", request("GET", "/a.txt?v=1"), 200, "0123456789", ""},
		{"head", request("HEAD", "/a.txt"), 200, "", "Content-Length: 10"},
		{"empty", request("GET", "/empty.txt"), 200, "", "Content-Length: 0"},
		{"large", request("GET", "/large.bin"), 200, large, "Content-Length: 50000\nContent-Type: application/octet-stream"},
		{"no ending", request("GET", "/noext"), 200, "?", "Content-Type: application/octet-stream"},
		{"home", request("GET", "/"), 200, "<p>home", "Content-Type: text/html; charset=utf-8"},
		{"folder", request("GET", "/sub/"), 200, "<p>sub", ""},
		{"folder without slash", request("GET", "/sub?a=b"), 301, "", "Location: /sub/?a=b"},
		{"folder without slash, of an odd name", request("HEAD", "/a b&c"), 301, "", "Location: /a%20b&c/"},
		{"two slashes are no host", request("HEAD", "//sub"), 301, "", "Location: /sub/"},
		{"folder without index", request("GET", "/bare/"), 403, "Forbidden\n", ""},
		{"file as a folder", request("GET", "/a.txt/"), 404, "Not Found\n", ""},
		{"file as a folder of a file", request("GET", "/a.txt/b"), 404, "Not Found\n", ""},
		{"nothing", request("GET", "/none"), 404, "Not Found\n", ""},
		{"no folder", request("GET", "/none/"), 404, "Not Found\n", ""},
		{"dot file", request("GET", "/.secret"), 404, "Not Found\n", ""},
		{"well-known", request("GET", "/.well-known/token"), 200, "yes", ""},
		{"up", request("GET", "/../outside"), 404, "Not Found\n", ""},
		{"zero byte", request("GET", "/a.txt\x00"), 404, "Not Found\n", ""},
		{"name too long", request("GET", "/"+strings.Repeat("a", 300)), 404, "Not Found\n", ""},
		{"path too long", request("GET", strings.Repeat("/a", 1<<20)), 404, "Not Found\n", ""},
		{"symlink within", request("GET", "/in"), 200, "0123456789", ""},
		{"symlink out", request("GET", "/out"), 404, "Not Found\n", ""},
		{"symlink to a folder outside", request("GET", "/outdir/outside"), 404, "Not Found\n", ""},
		{"symlink to a folder outside, itself", request("GET", "/outdir/"), 404, "Not Found\n", ""},
		{"absolute symlink", request("GET", "/absolute"), 404, "Not Found\n", ""},
		{"symlink in a circle", request("GET", "/circle"), 404, "Not Found\n", ""},
		{"symlink to nothing", request("GET", "/nowhere"), 404, "Not Found\n", ""},
		{"fifo", request("GET", "/fifo"), 404, "Not Found\n", ""},
		{"fifo beside a file", request("GET", "/a.txt", "Accept-Encoding: gzip"), 200, "0123456789", "Vary: \nContent-Encoding: "},
		{"post", request("POST", "/a.txt"), 405, "Method Not Allowed\n", "Allow: GET, HEAD"},
		{"range", request("GET", "/a.txt", "Range: bytes=2-4"), 206, "234", "Content-Range: bytes 2-4/10\nContent-Length: 3"},
		{"suffix", request("GET", "/a.txt", "Range: bytes=-3"), 206, "789", "Content-Range: bytes 7-9/10"},
		{"range beyond the end", request("GET", "/a.txt", "Range: bytes=10-"), 416, "", "Content-Range: bytes */10"},
		{"range of another unit", request("GET", "/a.txt", "Range: lines=1-2"), 416, "", ""},
		{"ranges that overlap", request("GET", "/a.txt", "Range: bytes=0-,0-,0-"), 200, "0123456789", ""},
		{"very many ranges", request("GET", "/large.bin", "Range: bytes=0-0"+strings.Repeat(",1-1", maxRanges)), 200, large, "Content-Length: 50000"},
		{"other version", request("GET", "/a.txt", `If-Range: "x"`, "Range: bytes=2-4"), 200, "0123456789", ""},
		{"has another", request("GET", "/a.txt", `If-None-Match: "x"`), 200, "0123456789", ""},
		{"has any", request("GET", "/a.txt", "If-None-Match: *"), 304, "", "Content-Length: \nContent-Type: "},
		{"wants another", request("GET", "/a.txt", `If-Match: "x"`), 412, "", ""},
		{"not since tomorrow", request("GET", "/a.txt", "If-Modified-Since: "+time.Now().Add(24*time.Hour).UTC().Format(http.TimeFormat)), 304, "", ""},
		{"since long ago", request("GET", "/a.txt", "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT"), 200, "0123456789", ""},
		{"unchanged since long ago", request("GET", "/a.txt", "If-Unmodified-Since: Mon, 02 Jan 2006 15:04:05 GMT"), 412, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				answer, body, _ := s.ask(test.request.Clone(t.Context()))
				if answer.StatusCode != test.status {
					t.Errorf("status %d, want %d", answer.StatusCode, test.status)
				}
				if test.status != 301 && test.status != 416 && body != test.body {
					t.Errorf("body %.40q of %d bytes, want %.40q", body, len(body), test.body)
				}
				for line := range strings.Lines(test.headers) {
					name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
					if got := answer.Header.Get(name); got != value {
						t.Errorf("%s: %q, want %q", name, got, value)
					}
				}
			}
		})
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log.String())
	}
}

// Several ranges are a body of parts.
func TestSeveralRanges(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.txt", "0123456789")
	answer, body, inline := s.ask(request("GET", "/a.txt", "Range: bytes=0-1,-2"))
	_, parameters, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if answer.StatusCode != 206 || err != nil || inline {
		t.Fatalf("%d, %v, inline %v", answer.StatusCode, err, inline)
	}
	var got []string
	for parts := multipart.NewReader(strings.NewReader(body), parameters["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		must(t, err)
		text, err := io.ReadAll(part)
		must(t, err)
		got = append(got, part.Header.Get("Content-Range")+" "+string(text))
	}
	if diff := cmp.Diff([]string{"bytes 0-1/10 01", "bytes 8-9/10 89"}, got); diff != "" {
		t.Error(diff)
	}
}

// Files that lie compressed beside another: each is its own to caches, of the type of the
// other, and as long as it is.
func TestCompressedBeside(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.js", "plain text")
	s.write("a.js.gz", "gzipped")
	s.write("a.js.zst", "zstd")
	must(t, os.Chtimes(filepath.Join(s.dir, "a.js.gz"), time.Time{}, time.Unix(1e9, 0))) // older: it counts all the same
	tags := make(map[string]bool)
	for _, test := range []struct{ accepts, coding, body string }{{"", "", "plain text"}, {"gzip", "gzip", "gzipped"}, {"gzip, zstd", "zstd", "zstd"}, {"br", "", "plain text"}} {
		answer, body, _ := s.ask(request("GET", "/a.js", "Accept-Encoding: "+test.accepts))
		h := answer.Header
		if body != test.body || h.Get("Content-Encoding") != test.coding || h.Get("Vary") != "Accept-Encoding" || h.Get("Content-Type") != "text/javascript; charset=utf-8" || answer.ContentLength != int64(len(body)) {
			t.Errorf("%s: %q, %v", test.accepts, body, h)
		}
		tag := h.Get("Etag")
		tags[tag] = true
		head, _, _ := s.ask(request("HEAD", "/a.js", "Accept-Encoding: "+test.accepts))
		if head.StatusCode != 200 || head.ContentLength != int64(len(body)) || head.Header.Get("Etag") != tag {
			t.Errorf("HEAD, %s: %d, %v", test.accepts, head.StatusCode, head.Header)
		}
		same, _, _ := s.ask(request("GET", "/a.js", "Accept-Encoding: "+test.accepts, "If-None-Match: "+tag))
		if same.StatusCode != 304 || same.Header.Get("Content-Length") != "" || same.Header.Get("Vary") == "" {
			t.Errorf("If-None-Match, %s: %d, %v", test.accepts, same.StatusCode, same.Header)
		}
		part, text, _ := s.ask(request("GET", "/a.js", "Accept-Encoding: "+test.accepts, "Range: bytes=1-2", "If-Range: "+tag))
		if part.StatusCode != 206 || text != test.body[1:3] || part.Header.Get("Content-Length") != "2" {
			t.Errorf("Range, %s: %d, %q, %v", test.accepts, part.StatusCode, text, part.Header)
		}
	}
	if len(tags) != 3 {
		t.Errorf("%d entity tags of three: %v", len(tags), tags)
	}
	if answer, body, _ := s.ask(request("GET", "/a.js.gz")); body != "gzipped" || answer.Header.Get("Content-Encoding") != "" || answer.Header.Get("Content-Type") != "application/gzip" {
		t.Errorf("by its own name: %q, %v", body, answer.Header)
	}
}

// fileTaker is a writer that sends files itself, as those of servers do.
type fileTaker struct {
	*httptest.ResponseRecorder
	taken *os.File
}

func (w *fileTaker) ReadFrom(r io.Reader) (int64, error) {
	if limit, is := r.(*io.LimitedReader); is {
		r = limit.R
	}
	if section, is := r.(*io.SectionReader); is {
		at, _, _ := section.Outer()
		w.taken, _ = at.(*os.File)
	}
	return io.Copy(w.ResponseRecorder, r)
}

// What is not small is left to the writer as a file: the whole, a part, one that is
// compressed.
func TestFilesAreSentByTheWriter(t *testing.T) {
	s := newSite(t, Options{})
	s.write("a.bin", strings.Repeat("x", smallSize+1))
	s.write("a.bin.gz", strings.Repeat("z", smallSize+1))
	for _, header := range []string{"X: y", "Range: bytes=1-9999", "Accept-Encoding: gzip", "If-None-Match: x"} {
		w := &fileTaker{ResponseRecorder: httptest.NewRecorder()}
		if s.ServeHTTP(w, request("GET", "/a.bin", header, "Accept-Encoding: gzip")); w.taken == nil || w.Body.Len() < smallSize {
			t.Errorf("%s: %d bytes, of file %v", header, w.Body.Len(), w.taken)
		}
	}
}
