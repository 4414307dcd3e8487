package fdpass

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// Listener is a named SOCK_SEQPACKET socket that others connect to by [Dial],
// or by any program's connect(2).
type Listener struct {
	socket *net.UnixListener
	path   string      // absolute; empty for an abstract name
	file   os.FileInfo // what path was when it was ours
	once   sync.Once
}

// Listen binds name and listens. The name is a path of at most 107 bytes or,
// after a leading '@', a name in the abstract namespace, which has no file.
// ("./@x" is a path.)
//
// The file has mode 0600 from the start, less the umask: connecting needs write
// permission, so only this user and root can. An abstract name has no
// permissions: there, and wherever the mode was changed, ask [Conn.Peer].
//
// The socket of a process that is gone is replaced. While it is, the folder is
// locked by flock(2), and other calls that replace a file there wait, until ctx
// is done: so the folder should be one's own, as should that of any socket.
//
// The caller owns the Listener and closes it; ctx bounds this call only.
// Errors wrap EADDRINUSE (a live process has the name), ENOTSOCK (a file of
// another kind has it), ENAMETOOLONG, EINVAL (an empty name, or one with a zero
// byte), EACCES, others of bind(2), or ctx.Err(). Whatever was at path is then
// untouched.
func Listen(ctx context.Context, name string) (*Listener, error) {
	if err := checkName(name); err != nil {
		return nil, fmt.Errorf("fdpass: listen: %w", err)
	}
	socket, err := bind(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("fdpass: %w", err)
	}
	l := &Listener{socket: socket}
	if isAbstract(name) {
		return l, nil
	}
	if l.path, err = filepath.Abs(name); err == nil { // the process may change its folder
		l.file, err = os.Lstat(l.path)
	}
	if err != nil {
		_ = l.Close() // the first error is the one to know
		return nil, fmt.Errorf("fdpass: listen: %w", err)
	}
	return l, nil
}

// Accept waits for a connection, until ctx is done. It returns an owned Conn:
// the caller closes it. It is for one goroutine at a time; Close may be called
// meanwhile, and ends it with net.ErrClosed.
//
// Errors wrap ctx.Err(), net.ErrClosed, or an *os.SyscallError: at the limit of
// descriptors EMFILE or ENFILE, after which the connection still waits.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	var socket *net.UnixConn
	err := interruptible(ctx, l.socket.SetDeadline, func() (err error) {
		socket, err = l.socket.AcceptUnix()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fdpass: %w", err)
	}
	return newConn(socket)
}

// Close removes the name, if it is still this socket's, and stops listening.
// Connections that nobody accepted are reset, and what they sent is gone;
// accepted ones live on. Once closed, it returns net.ErrClosed.
func (l *Listener) Close() error {
	l.once.Do(func() {
		if l.file == nil {
			return
		}
		// Before the socket is closed: until then nobody takes it for dead, and
		// the kernel gives its inode number to no other file.
		if file, err := os.Lstat(l.path); err == nil && os.SameFile(file, l.file) {
			_ = os.Remove(l.path) // a dead socket is left behind, which the next Listen replaces
		}
	})
	if err := l.socket.Close(); err != nil {
		return fmt.Errorf("fdpass: %w", err)
	}
	return nil
}
