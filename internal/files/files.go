// Package files serves the files of a folder by HTTP: GET and HEAD, ranges, conditions,
// and what lies compressed beside a file.
//
//	h, err := files.Open("/srv/site", files.Options{})
//	…
//	http.Handle("/", h) // or a server that calls ServeInline
//
// Nothing outside of the folder is served, whatever a path or a symlink says (os.Root),
// nor what begins with a dot, nor anything that is no regular file. A symlink works if it
// is relative and leads to something in the folder.
//
// How a request goes:
//
//	path ─nameOf─► name ─cache─► resource ─Accept-Encoding─► file ─► answer
//	                        └──────► openResource, which waits for the disk
//
// Files stay open in a cache, so that the next request for one need not wait for the disk:
// ServeInline answers that one, and can be called where nothing may wait. It looks after a
// name again within a second (maxAge), on a goroutine (ServeHTTP): a file that was replaced
// goes on whole for who gets it just then, and others get the new one.
//
// A file that shrinks while it is sent cannot be told from the head of the answer, which
// has its length: the connection is cut then, so that the client sees that bytes are missing.
//
// It is no place for content that a program makes, and knows nothing of loops, workers or
// connections.
package files

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"sync/atomic"
	"time"
)

// index is the file that is served for its folder.
const index = "index.html"

const (
	// defaultMaxOpen is how many files are open for the next request.
	defaultMaxOpen = 512
	// maxOpening is how many requests look for a file on the disk at a time: many may ask
	// for the same one.
	maxOpening = 64
	// perOpening is how many descriptors one of them may take: of the file, of those
	// beside it, and of two folders on the way.
	perOpening = 1 + len(codings) + 2
)

// errCrowded: the handler has as many descriptors as it may.
var errCrowded = errors.New("too many files are open")

// Options are how files are served. The zero value is ready.
type Options struct {
	// List has folders without an index.html answered with a page of what is in them.
	// Without it the answer is 403.
	List bool
	// MaxOpen is how many files stay open for the next request; 0: 512.
	MaxOpen int
	// MaxDescriptors is how many descriptors all files may take together: those that stay
	// open, those that are being sent, and what it takes to look for one. Beyond it the
	// answer is 503. 0: any number.
	MaxDescriptors int
	// ErrorLog gets errors of the disk; nil: package log's standard logger.
	ErrorLog *log.Logger
}

// Handler serves a folder. Any goroutine may use it.
type Handler struct {
	root    *os.Root
	options Options
	clock   func() time.Duration
	cache   *cache
	opening chan struct{}
	taken   atomic.Int64 // descriptors
}

// Open returns a handler for a folder, and keeps that open: it goes on with the same one
// if another gets its name. The caller closes it.
func Open(dir string, o Options) (*Handler, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("files: %w", err)
	}
	if o.MaxOpen == 0 {
		o.MaxOpen = defaultMaxOpen
	}
	if o.ErrorLog == nil {
		o.ErrorLog = log.Default()
	}
	start := time.Now()
	h := &Handler{root: root, options: o, opening: make(chan struct{}, maxOpening)}
	h.clock = func() time.Duration { return time.Since(start) }
	h.cache = newCache(o.MaxOpen, func() time.Duration { return h.clock() })
	return h, nil
}

// Close closes what is open, but for files that are being sent: those are closed when
// that is over. It is for who has no more requests.
func (h *Handler) Close() error {
	h.cache.close()
	return h.root.Close()
}

// ServeInline answers a request without waiting for the disk to open anything, if that can
// be done. Otherwise it does nothing and returns false, and ServeHTTP is to be called on a
// goroutine that may wait. For contents that are not in memory it does wait.
func (h *Handler) ServeInline(w http.ResponseWriter, r *http.Request) (served bool) {
	name, ok := nameOf(r.URL.Path)
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead || asksMany(r.Header) {
		return false
	}
	now := h.clock()
	res := h.cache.get(name, now)
	if res == nil {
		return false
	}
	defer res.release()
	return res.isCurrent(now, &res.sent) && h.answer(w, r, res)
}

// ServeHTTP answers a request. It waits for the disk, and for the client.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		fail(w, http.StatusMethodNotAllowed)
		return
	}
	name, ok := nameOf(r.URL.Path)
	if !ok {
		fail(w, http.StatusNotFound)
		return
	}
	limitRanges(r)
	for range 2 { // a file that has changed under its name is looked for anew
		res, err := h.find(name)
		if err != nil {
			h.refuse(w, r, name, err)
			return
		}
		done := h.answer(w, r, res)
		if !done {
			h.cache.drop(res)
		}
		if res.release(); done {
			return
		}
	}
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable) // it changes all the time
}

// find returns what a name stands for, held for the caller.
func (h *Handler) find(name string) (*resource, error) {
	res := h.cache.get(name, h.clock())
	if res != nil && res.isCurrent(h.clock(), &res.looking) {
		return res, nil
	}
	h.opening <- struct{}{}
	defer func() { <-h.opening }()
	if res == nil {
		res = h.cache.get(name, h.clock()) // others may have looked in the meantime
	}
	now := h.clock()
	if res != nil {
		if now-time.Duration(res.checked.Load()) < freshAge {
			return res, nil
		}
		if res.isStill(h.root) {
			res.checked.Store(int64(now))
			return res, nil
		}
		h.cache.drop(res)
		res.release()
	}
	res, err := h.open(name, now)
	if err != nil && statusOf(err) == http.StatusServiceUnavailable {
		h.cache.dropAll() // for whom descriptors are short
		res, err = h.open(name, now)
	}
	if err != nil {
		return nil, err
	}
	h.cache.put(res)
	return res, nil
}

// open is openResource within MaxDescriptors.
func (h *Handler) open(name string, now time.Duration) (*resource, error) {
	defer h.taken.Add(-int64(perOpening))
	if most := h.options.MaxDescriptors; h.taken.Add(int64(perOpening)) > int64(most) && most > 0 {
		return nil, errCrowded
	}
	res, err := openResource(h.root, name, now)
	if err == nil {
		res.taken = &h.taken
		h.taken.Add(int64(res.files))
	}
	return res, err
}

// refuse answers a request for what cannot be opened, which a folder is, too.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, name string, err error) {
	status := statusOf(err)
	switch {
	case status == http.StatusNotFound && isFolder(name):
		if info, err := h.root.Stat(inFolder(name)); err == nil && info.IsDir() {
			h.serveFolder(w, r, name)
			return
		}
	case errors.Is(err, errFolder):
		to := url.URL{Path: "/" + name + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
		return
	case status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		h.options.ErrorLog.Printf("files: %v", err)
	case status == http.StatusInternalServerError:
		h.options.ErrorLog.Printf("files: %v", err)
	}
	fail(w, status)
}

// fail answers with a status, and its name.
func fail(w http.ResponseWriter, status int) { http.Error(w, http.StatusText(status), status) }
