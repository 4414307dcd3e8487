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
//	Transport Transport   // what its connections pass; the zero value: nothing
type Address = listen.Address

// Transport is what a listener's connections pass before a session sees their bytes. Its
// fields:
//
//	TLS   bool   // they are encrypted
//	Cert  string // a name of the default certificate; empty: the first
//	Proxy bool   // a PROXY header comes first
//	Trust string // the networks whose PROXY headers are believed, by comma; Networks returns them
type Transport = listen.Transport

// ParseAddress reads [NAME=]ADDRESS[?OPTION=VALUE[&…]], where ADDRESS is HOST:PORT, that
// after tcp://, tcp4://, tcp6:// or tls://, unix:///PATH, or systemd://[NAME]. The options
// are mode, of a Unix socket; tls and cert; proxy and trust. An error says what is wrong
// with which part.
func ParseAddress(s string) (Address, error) { return listen.ParseAddress(s) }
