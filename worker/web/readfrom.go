package web

import (
	"errors"
	"io"
	"net/http"
	"os"
)

// minSendfile is how long a part of a file is at least for sendfile(2): a shorter one is
// sooner copied, and leaves in one piece with the head.
const minSendfile = 8 << 10

// ReadFrom is io.ReaderFrom's, which [io.Copy] uses. A regular file, also a part of it by
// [io.LimitedReader] or [io.SectionReader], is sent by sendfile(2) if the response has a
// length or ends with the connection; everything else is copied. It blocks as src.Read and
// Write do. Errors: those of both.
//
// As net/http's it sends the head as soon as there are 512 bytes, unless the header says
// what those would be read for.
func (w *response) ReadFrom(src io.Reader) (n int64, err error) {
	part, isFile := filePartOf(src)
	direct, err := w.readyFor(isFile)
	if err != nil {
		return 0, err
	}
	if !direct {
		n, err = w.copyFrom(io.LimitReader(src, sniffed))
		if err != nil || n < sniffed {
			return n, err
		}
		if err := w.sendHead(); err != nil {
			return n, err
		}
	}
	if !direct && isFile {
		part, isFile = filePartOf(src) // it has been read from
	}
	if isFile && part.size >= minSendfile {
		sent, err := w.sendPart(&part)
		if n += sent; err != nil {
			return n, err
		}
	}
	rest, err := w.copyFrom(src) // all of it, or what a file has grown by
	return n + rest, err
}

// readyFor reports whether the head is made, or could be made without a look at the body. It
// makes it for a file alone: another reader may be the request's body, and a client that
// waits for 100 Continue gets that before the head.
func (w *response) readyFor(isFile bool) (direct bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("ReadFrom", 1); err != nil {
		return false, err
	}
	if w.stage == headed {
		w.flush() // as net/http: what was written does not wait for src
		return true, w.err
	}
	if w.stage == fresh && isFile {
		w.begin(http.StatusOK)
	}
	if w.stage == begun && isFile && w.length >= 0 && !w.sniffs() {
		if w.flushPending(); w.stage == begun {
			w.completeHead(nil)
		}
	}
	return w.stage == headed, w.err
}

// sendHead sends all that was written, the head at least.
func (w *response) sendHead() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("ReadFrom", 1); err != nil {
		return err
	}
	w.flush()
	return w.err
}

// copyFrom writes what it reads from src, in pieces of 32 KiB. No lock is held while it
// reads, which may block, or be of the request's body.
func (w *response) copyFrom(src io.Reader) (n int64, err error) {
	b := getLargeBuffer()
	defer putBuffer(b)
	for {
		read, err := src.Read(b[:cap(b)])
		if read > 0 {
			wrote, err := write(w, b[:read])
			if n += int64(wrote); err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// filePart is a part of a regular file, as a reader would give it.
type filePart struct {
	file    *os.File
	off     int64
	size    int64
	section *io.SectionReader // that it is of; nil: the file's own offset counts
	limit   *io.LimitedReader // that it is of; may be nil
}

// filePartOf returns the part of a file that src would give.
func filePartOf(src io.Reader) (part filePart, ok bool) {
	part.size = 1<<63 - 1
	if limit, is := src.(*io.LimitedReader); is {
		part.limit, part.size, src = limit, limit.N, limit.R
	}
	switch r := src.(type) {
	case *os.File:
		off, err := r.Seek(0, io.SeekCurrent)
		part.file, part.off, ok = r, off, err == nil && part.size > 0
	case *io.SectionReader:
		part.section = r
		at, off, size := r.Outer()
		part.file, ok = at.(*os.File)
		if ok {
			done, _ := r.Seek(0, io.SeekCurrent) // it cannot fail
			part.off, part.size = off+done, min(part.size, size-done)
			return part, part.size > 0
		}
	}
	if !ok {
		return part, false
	}
	info, err := part.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return part, false
	}
	part.size = min(part.size, info.Size()-part.off)
	return part, part.size > 0 // files of proc(5) have no size
}

// sendPart sends a part of a file, as much as the declared length allows, if the body is
// sent as it is. It returns 0 and no error for a part that is to be copied.
func (w *response) sendPart(part *filePart) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable("ReadFrom", 1); err != nil {
		return 0, err
	}
	if w.stage != headed || w.chunking || w.isHead || !bodyAllowed(w.status) || w.err != nil {
		return 0, w.err
	}
	n := part.size
	if w.length >= 0 {
		n = min(n, w.length-w.written)
	}
	if n <= 0 || w.exceeded {
		return 0, nil // to copy it fails
	}
	w.flushOut()
	if w.err == nil {
		w.err = w.wire.sendFile(part.file, part.off, n)
	}
	if errors.Is(w.err, errNotSendable) {
		w.err = nil
		return 0, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	w.written += n
	return n, part.skip(n)
}

// skip moves the reader that the part is of on, as if it had been read.
func (p *filePart) skip(n int64) (err error) {
	if p.limit != nil {
		p.limit.N -= n
	}
	if p.section != nil {
		_, err = p.section.Seek(n, io.SeekCurrent)
	} else {
		_, err = p.file.Seek(n, io.SeekCurrent)
	}
	return err
}
