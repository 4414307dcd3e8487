package listen

import (
	"fmt"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// SetBacklog bounds how many clients wait in the kernel at each socket; 0: as many as
// it allows. listen(2) may be called again for that. What cannot be changed is logged.
func SetBacklog(listeners []*Listener, n int, log hclog.Logger) {
	for _, l := range listeners {
		for _, socket := range l.Sockets() {
			if err := unix.Listen(socket, backlogOr(n)); err != nil {
				log.Warn("cannot change the backlog", "listener", l.Address, "limit", n, "error", fmt.Errorf("listen: %w", err))
			}
		}
	}
}

// backlogOr returns n, or for 0 as many as the kernel allows: listen(2) cuts
// larger values to somaxconn.
func backlogOr(n int) int {
	if n == 0 {
		return 1<<31 - 1
	}
	return n
}
