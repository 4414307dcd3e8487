package files

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	// smallSize is up to what a file is copied into its answer: one read and one write are
	// cheaper than a write and a sendfile then.
	smallSize = 8 << 10
	// maxRanges is how many ranges of a file one request may want; one that wants more gets
	// the whole, as one does whose ranges overlap so that they are longer than that.
	maxRanges = 200
)

// small are buffers that files are read into.
var small = sync.Pool{New: func() any { return new([smallSize + 1]byte) }}

// The values of headers that are alike for all. Nobody changes them.
var (
	bytesUnit      = []string{"bytes"}
	acceptEncoding = []string{"Accept-Encoding"}
)

// answer sends a file of res, or what conditions and ranges ask for in its place. If it
// returns false, nothing is sent: the file is no longer as res says.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, res *resource) (done bool) {
	f := res.choose(r.Header["Accept-Encoding"])
	if r.Method == http.MethodGet && isPlain(r.Header) {
		return sendWhole(w, res, f)
	}
	f.describe(w.Header(), res)
	if f.coding != nil {
		w = &lengthWriter{w, f}
	}
	http.ServeContent(w, r, "", f.info.ModTime(), io.NewSectionReader(f.File, 0, f.info.Size()))
	return true
}

// isPlain reports whether a request has no condition and no range.
func isPlain(h http.Header) bool {
	for _, key := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if _, has := h[key]; has {
			return false
		}
	}
	return true
}

// describe sets the headers that every answer with contents of f has.
func (f *file) describe(h http.Header, res *resource) {
	h["Content-Type"] = f.contentType
	h["Etag"] = f.etag
	if f.lastModified != nil {
		h["Last-Modified"] = f.lastModified
	}
	if res.vary {
		h["Vary"] = acceptEncoding
	}
	if f.coding != nil {
		h["Content-Encoding"] = f.coding
	}
}

// sendWhole is the short way, and the one of nearly all requests.
func sendWhole(w http.ResponseWriter, res *resource, f *file) (done bool) {
	size := f.info.Size()
	if size > smallSize {
		f.describeWhole(w.Header(), res)
		// A writer of ours takes the file from it, and sends it by sendfile(2).
		if _, err := io.Copy(w, io.NewSectionReader(f.File, 0, size)); err != nil {
			panic(http.ErrAbortHandler) // the file has shrunk, or the client has gone
		}
		return true
	}
	buffer := small.Get().(*[smallSize + 1]byte)
	defer small.Put(buffer)
	n, err := f.ReadAt(buffer[:size+1], 0)
	if err != io.EOF || int64(n) != size {
		return false // it has shrunk or grown
	}
	f.describeWhole(w.Header(), res)
	if _, err := w.Write(buffer[:n]); err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	return true
}

// describeWhole sets the headers of the answer that is the whole of f.
func (f *file) describeWhole(h http.Header, res *resource) {
	f.describe(h, res)
	h["Content-Length"] = f.contentLength
	h["Accept-Ranges"] = bytesUnit
}

// lengthWriter says how long a compressed file is, which http.ServeContent leaves out.
type lengthWriter struct {
	http.ResponseWriter
	file *file
}

// WriteHeader adds the length to the head of the whole.
func (w *lengthWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header()["Content-Length"] = w.file.contentLength
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom has the file sent by the writer behind, if that can.
func (w *lengthWriter) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// Unwrap is for http.ResponseController.
func (w *lengthWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// asksMany reports whether a request wants several ranges: those are sent through a pipe,
// by two goroutines.
func asksMany(h http.Header) bool {
	ranges := h["Range"]
	return len(ranges) > 0 && strings.Contains(ranges[0], ",")
}

// limitRanges takes from a request more ranges than it may want.
func limitRanges(r *http.Request) {
	if asksMany(r.Header) && strings.Count(r.Header["Range"][0], ",") >= maxRanges {
		r.Header.Del("Range")
	}
}
