package listen

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/master/internal/fileid"
	"golang.org/x/sys/unix"
)

// SocketFile is a Unix socket's file, to be removed by who made it, unless another
// has taken its place since. Its path is kept as it was given: a name of two
// spellings is one file. The zero value is no file, and never there.
type SocketFile struct {
	path string
	id   fileid.ID
}

// findSocketFile returns what is at path, or no file.
func findSocketFile(path string) SocketFile {
	id, ok := fileid.At(path)
	if !ok {
		return SocketFile{}
	}
	return SocketFile{path, id}
}

// RestoreSocketFile returns the file that a program before this one made at path,
// which may be gone, and another's in its place. id is what its ID was; the zero
// value, of a program that did not say, stands for what is there.
func RestoreSocketFile(path string, id fileid.ID) SocketFile {
	if id == (fileid.ID{}) {
		return findSocketFile(path)
	}
	return SocketFile{path, id}
}

// ID returns the file's id, for the program that takes over.
func (f SocketFile) ID() fileid.ID { return f.id }

// isNone reports whether this is no file.
func (f SocketFile) isNone() bool { return f == SocketFile{} }

// There reports whether the file is where it was made: a cleaner may have removed it.
func (f SocketFile) There() bool {
	if f.isNone() {
		return false
	}
	id, ok := fileid.At(f.path)
	return ok && id == f.id
}

// Remove removes the file, if it is there.
func (f SocketFile) Remove() {
	if f.There() {
		_ = os.Remove(f.path) // someone else was faster
	}
}

// setMode changes the file's mode, and no other file's, whatever is put in its
// place meanwhile.
func (f SocketFile) setMode(mode fs.FileMode) error {
	fd, err := unix.Open(f.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if (fileid.ID{Dev: stat.Dev, Ino: stat.Ino}) != f.id {
		return fmt.Errorf("%s is another's file by now", f.path)
	}
	return os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode) // fchmod(2) does not take such a descriptor
}

// Purpose is what a Unix socket is for, in the words of errors about its path.
type Purpose struct {
	Holder string // what kind of process would hold the path: "master"
	Other  string // how to choose another path: "choose another path with --listen"
}

// Unix returns an owned socket that listens at path, which may be left over from a
// dead process, and its file, or none for a name without one (unix(7)). mode is the
// file's; 0: as the umask has it. It blocks as long as the file system does, and up to
// folderLimit while others make sockets in the folder.
//
// Processes that call this for one folder take turns, from the look at what is there
// until the socket listens. Else two that find the same dead socket would each remove
// what is there, and the slower one the other's new socket.
func Unix(path string, mode fs.FileMode, purpose Purpose) (fd int, file SocketFile, err error) {
	if len(path) > maxUnixPath {
		return -1, SocketFile{}, fmt.Errorf("too long for a Unix socket: %d bytes, %d fit; %s", len(path), maxUnixPath, purpose.Other)
	}
	hasFile := !strings.HasPrefix(path, "@")
	if hasFile {
		unlock, err := lockFolder(filepath.Dir(path))
		if err != nil {
			return -1, SocketFile{}, fmt.Errorf("%w, or %s", err, purpose.Other)
		}
		defer unlock()
		if err := clearPath(path, purpose); err != nil {
			return -1, SocketFile{}, err
		}
	}
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, SocketFile{}, os.NewSyscallError("socket", err)
	}
	if file, err = bindWithMode(fd, path, mode, hasFile); err == nil {
		err = os.NewSyscallError("listen", unix.Listen(fd, backlogOr(0)))
	}
	if err != nil {
		file.Remove()
		_ = unix.Close(fd) // the first error is the one to report
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EROFS) {
			err = fmt.Errorf("%w; may this user write to the folder? Otherwise %s", err, purpose.Other)
		}
		return -1, SocketFile{}, err
	}
	return fd, file, nil
}

// bindWithMode creates the socket's file. It never has more rights than are asked
// for, not even before it listens: the kernel takes them from the unbound socket's
// own mode, less the umask (unix_bind_bsd in net/unix/af_unix.c). The umask is the
// process's, and stays as it is: files are created meanwhile, and workers started.
func bindWithMode(fd int, path string, mode fs.FileMode, hasFile bool) (SocketFile, error) {
	if mode != 0 {
		if err := unix.Fchmod(fd, uint32(mode)); err != nil {
			return SocketFile{}, os.NewSyscallError("fchmod", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return SocketFile{}, os.NewSyscallError("bind", err)
	}
	if !hasFile {
		return SocketFile{}, nil
	}
	file := findSocketFile(path)
	if file.isNone() {
		return SocketFile{}, fmt.Errorf("%s was removed at once", path)
	}
	if mode != 0 {
		return file, file.setMode(mode) // what the umask took
	}
	return file, nil
}

// folderLimit is how long others may hold a folder's lock, who need it for
// microseconds.
const folderLimit = 2 * time.Second

// lockFolder has the caller be the only one that makes sockets in a folder, until
// unlock is called. The lock is on the folder itself (flock(2)), so that no file is
// left of it; where the folder cannot be read there is none.
func lockFolder(path string) (unlock func(), err error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no folder %s; create it", path)
	case errors.Is(err, unix.ENOTDIR):
		return nil, fmt.Errorf("%s is not a folder; mend the path", path)
	case err != nil:
		return func() {}, nil
	}
	for deadline := time.Now().Add(folderLimit); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() {
				_ = unix.Flock(fd, unix.LOCK_UN) // a child that is being started may have the descriptor for a moment
				_ = unix.Close(fd)
			}, nil
		case err != unix.EWOULDBLOCK && err != unix.EINTR: // this file system knows no locks
			_ = unix.Close(fd)
			return func() {}, nil
		case time.Now().After(deadline):
			_ = unix.Close(fd)
			return nil, fmt.Errorf("some process has had the folder %s locked (flock(2)) for %v; end it", path, folderLimit)
		}
	}
}

// clearPath removes the socket of a process that is dead, and refuses anything
// else.
func clearPath(path string, purpose Purpose) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w; %s", err, purpose.Other)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("there is a file that is not a socket; remove it, or %s", purpose.Other)
	}
	conn, err := net.Dial("unix", path)
	switch {
	case err == nil:
		defer conn.Close()
		if peerPID(conn) == os.Getpid() {
			return fmt.Errorf("this server has a socket there itself; %s", purpose.Other)
		}
		return fmt.Errorf("held by a live %s (pid %d); stop that one, or %s", purpose.Holder, peerPID(conn), purpose.Other)
	case errors.Is(err, unix.ECONNREFUSED):
		return os.Remove(path)
	}
	return fmt.Errorf("%w; %s", err, purpose.Other)
}

// peerPID returns the pid of the process that listens at the other end, or 0.
func peerPID(conn net.Conn) (pid int) {
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { // an error leaves pid 0
		if peer, err := fdpass.PeerOf(int(fd)); err == nil {
			pid = peer.PID
		}
	})
	return pid
}

// umask returns the process's. To ask umask(2) would be to change it for a moment.
func umask() fs.FileMode {
	status, _ := os.ReadFile("/proc/self/status") // without it: the usual one
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "Umask:"); found {
			if mask, err := strconv.ParseUint(strings.TrimSpace(value), 8, 9); err == nil {
				return fs.FileMode(mask)
			}
		}
	}
	return 0o022
}
