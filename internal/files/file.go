package files

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// errNotRegular: there is something by this name, and no file: a pipe, a socket, a device.
var errNotRegular = errors.New("not a regular file")

// errFolder: there is a folder by this name.
var errFolder = errors.New("a folder")

// file is an open file, and the headers of the answer that is the whole of it. All is
// prepared when it is opened, and nobody changes it afterwards: any goroutine reads it.
// It belongs to its resource.
type file struct {
	*os.File
	info os.FileInfo // when it was opened

	contentType   []string
	coding        []string // Content-Encoding; nil: none
	contentLength []string
	lastModified  []string // nil: its time is none that a server could have (RFC 9110, section 8.8.2.1)
	etag          []string
}

// openFile opens a regular file below root. Its path is one that nameOf or a coding made.
// It returns errFolder for a folder, and errNotRegular for what else there is: that is not
// opened, or, if it came there just now, not waited for.
//
// It waits for the disk.
func openFile(root *os.Root, path, mediaType string, c int) (*file, error) {
	info, err := root.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(info); err != nil {
		return nil, err
	}
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = regular(info)
	}
	if err != nil {
		_ = f.Close() // nothing was written to it
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newFile(f, info, mediaType, c), nil
}

// regular returns an error if this is no regular file.
func regular(info os.FileInfo) error {
	switch {
	case info.IsDir():
		return errFolder
	case !info.Mode().IsRegular():
		return errNotRegular
	}
	return nil
}

// newFile takes ownership of f. c is its coding, or identity.
func newFile(f *os.File, info os.FileInfo, mediaType string, c int) *file {
	size, modified := info.Size(), info.ModTime()
	made := &file{
		File: f, info: info,
		contentType:   []string{mediaType},
		contentLength: []string{strconv.FormatInt(size, 10)},
		etag:          []string{etag(size, modified, c)},
	}
	if modified.Unix() > 0 {
		made.lastModified = []string{modified.UTC().Format(http.TimeFormat)}
	}
	if c != identity {
		made.coding = []string{codings[c].name}
	}
	return made
}

// etag returns a strong entity tag, as nginx's is, of a file's size and time in
// nanoseconds; a file beside another has the coding in it. It cannot tell two contents of
// one size that were written within one tick of the kernel's clock (1 to 10 ms).
func etag(size int64, modified time.Time, c int) string {
	b := strconv.AppendInt([]byte{'"'}, modified.UnixNano(), 16)
	b = strconv.AppendInt(append(b, '-'), size, 16)
	if c != identity {
		b = append(append(b, '-'), codings[c].name...)
	}
	return string(append(b, '"'))
}

// isStill reports whether info is of the file that f was when it was opened, unchanged.
func (f *file) isStill(info os.FileInfo, err error) bool {
	if f == nil {
		return err != nil || regular(info) != nil
	}
	return err == nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime())
}

// statusOf returns the status of the answer to what cannot be opened.
func statusOf(err error) int {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, errCrowded), errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return http.StatusServiceUnavailable
	case errors.Is(err, unix.EIO), errors.Is(err, unix.ESTALE), errors.Is(err, os.ErrClosed):
		return http.StatusInternalServerError
	}
	// It is not there, it leads out of the root (package os has no name for that error), it
	// is no regular file, its name is too long, or its links go in a circle.
	return http.StatusNotFound
}
