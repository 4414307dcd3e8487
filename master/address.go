package master

import "github.com/usher-go/usher/master/internal/listen"

// Address is where to listen, as an operator writes it.
type Address = listen.Address

// ParseAddress reads [NAME=]ADDRESS, where ADDRESS is HOST:PORT, that after
// tcp://, tcp4:// or tcp6://, unix:///PATH[?mode=0660], or systemd://[NAME]. An
// error says what is wrong with which part.
func ParseAddress(s string) (Address, error) { return listen.ParseAddress(s) }
