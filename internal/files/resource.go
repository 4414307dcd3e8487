package files

import (
	"os"
	"sync/atomic"
	"time"
)

// resource is what a name stands for: an open file, and those beside it that are the same
// compressed. It is closed when nobody has it any more: the cache, and each answer that
// sends it, hold it once.
type resource struct {
	name  string
	path  string // of the file, below the root: not the name if that is a folder's
	plain *file
	coded [len(codings)]*file // nil: there is none
	files int                 // how many are open
	taken *atomic.Int64       // the handler's count of descriptors; nil: nobody counts
	vary  bool                // there is one of coded, so that answers depend on Accept-Encoding

	holders atomic.Int32
	checked atomic.Int64 // when it was last found to be what is on the disk, by the handler's clock; in nanoseconds
	sent    atomic.Int64 // the value of checked for which ServeInline has sent somebody to look again
	looking atomic.Int64 // the value of checked for which somebody looks again
	used    atomic.Int64 // when it was last asked for
}

// How old a check may be. In between one goes to look, and others take what there is: so
// a change shows within maxAge, and who asks for a file in the meantime need not wait.
const (
	freshAge = 500 * time.Millisecond
	maxAge   = time.Second
)

// openResource opens what a name stands for, and returns it held once. It waits for the
// disk.
func openResource(root *os.Root, name string, now time.Duration) (*resource, error) {
	r := &resource{name: name, path: name, files: 1}
	if isFolder(name) {
		r.path = name + index
	}
	kind := mediaType(r.path)
	var err error
	if r.plain, err = openFile(root, r.path, kind, identity); err != nil {
		return nil, err
	}
	for i, c := range codings {
		if f, err := openFile(root, r.path+c.ending, kind, i); err == nil { // else there is none that could be sent
			r.coded[i] = f
			r.files++
			r.vary = true
		}
	}
	r.holders.Store(1)
	r.sent.Store(-1)
	r.looking.Store(-1)
	r.checked.Store(int64(now))
	r.used.Store(int64(now))
	return r, nil
}

// isCurrent reports whether r can be taken without a look at the disk. The first to ask
// when it is no longer fresh is told to look, for the others; claimed, which is sent or
// looking, remembers that. There are two, since who is sent asks again when it is there.
func (r *resource) isCurrent(now time.Duration, claimed *atomic.Int64) bool {
	checked := r.checked.Load()
	switch age := now - time.Duration(checked); {
	case age < freshAge:
		return true
	case age < maxAge:
		before := claimed.Load()
		return before == checked || !claimed.CompareAndSwap(before, checked)
	}
	return false
}

// isStill reports whether r is what its name stands for on the disk. It waits for the disk.
func (r *resource) isStill(root *os.Root) bool {
	if !r.plain.isStill(root.Stat(r.path)) {
		return false
	}
	for i, c := range codings {
		if !r.coded[i].isStill(root.Stat(r.path + c.ending)) {
			return false
		}
	}
	return true
}

// choose returns the file that suits a client best, by its Accept-Encoding.
func (r *resource) choose(accepts []string) *file {
	if !r.vary || len(accepts) == 0 {
		return r.plain
	}
	t := tasteOf(accepts)
	if i := t.choose(func(i int) bool { return r.coded[i] != nil }); i != identity {
		return r.coded[i]
	}
	return r.plain
}

// hold takes r once more, for somebody who cannot be the first. Each hold needs a release.
func (r *resource) hold() { r.holders.Add(1) }

// release gives r back. The last one has it closed, on a goroutine of its own: to close the
// last descriptor of a large file that was removed takes as long as to remove it.
func (r *resource) release() {
	if r.holders.Add(-1) == 0 {
		go r.close()
	}
}

func (r *resource) close() {
	_ = r.plain.Close() // nothing was written to it
	for _, f := range r.coded {
		if f != nil {
			_ = f.Close() // likewise
		}
	}
	if r.taken != nil {
		r.taken.Add(-int64(r.files))
	}
}
