package master

import "github.com/usher-go/usher/master/internal/listen"

// Address is where to listen, as an operator writes it: String gives it back, without
// the name. Its fields:
//
//	Name      string      // NAME of NAME=ADDRESS, or empty
//	Network   string      // tcp, tcp4, tcp6, unix or systemd
//	Host      string      // TCP: an address, a name, or empty for every address
//	Port      uint16      // TCP: 0 picks a free one
//	Path      string      // Unix socket: the file; @ in front: a name without a file (unix(7))
//	Mode      fs.FileMode // Unix socket: the file's mode; 0: as the umask has it
//	Inherited string      // systemd: the name of the sockets that it passes; empty: all
type Address = listen.Address

// ParseAddress reads [NAME=]ADDRESS, where ADDRESS is HOST:PORT, that after
// tcp://, tcp4:// or tcp6://, unix:///PATH[?mode=0660], or systemd://[NAME]. An
// error says what is wrong with which part.
func ParseAddress(s string) (Address, error) { return listen.ParseAddress(s) }
