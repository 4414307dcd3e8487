// Package fileid tells a file from all others that there are at the time: by its
// device and inode, however its path is spelled.
package fileid

import (
	"io/fs"
	"os"
	"syscall"
)

// ID is a file's. The zero value is no file's. Its fields are written in the state of
// an upgrade.
type ID struct{ Dev, Ino uint64 }

// At returns the id of what is at path, whose last part is not followed if it is a
// symlink, and false if there is nothing.
func At(path string) (id ID, ok bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return ID{}, false
	}
	return Of(info), true
}

// Of returns the id of the file that info is of, which package os has looked at.
func Of(info fs.FileInfo) ID {
	stat := info.Sys().(*syscall.Stat_t)
	return ID{stat.Dev, stat.Ino}
}
