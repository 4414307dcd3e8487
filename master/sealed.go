package master

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

const (
	memorySeals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	// maxMemory is the most that is read of a memfd, in bytes: the census of a million
	// clients is a thirtieth of it.
	maxMemory = 1 << 30
)

// sealMemory puts bytes into a sealed memfd, close-on-exec, which the caller owns.
func sealMemory(name string, b []byte) (fd int, err error) {
	fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	for written := 0; written < len(b); {
		n, err := unix.Write(fd, b[written:])
		if err != nil {
			_ = unix.Close(fd) // the first error is the one to report
			return -1, os.NewSyscallError("write", err)
		}
		written += n
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, memorySeals); err != nil {
		_ = unix.Close(fd) // the first error is the one to report
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

// readMemory reads what sealMemory has put into a memfd, which it borrows.
func readMemory(fd int) ([]byte, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0)
	if err != nil || seals&memorySeals != memorySeals {
		return nil, errors.New("not a sealed memfd")
	}
	if stat.Size > maxMemory {
		return nil, fmt.Errorf("%d bytes, at most %d", stat.Size, maxMemory)
	}
	b := make([]byte, stat.Size)
	for read := 0; read < len(b); {
		n, err := unix.Pread(fd, b[read:], int64(read))
		if err != nil {
			return nil, os.NewSyscallError("pread", err)
		}
		if n == 0 {
			return nil, io.ErrUnexpectedEOF // it is sealed: cannot be
		}
		read += n
	}
	return b, nil
}
