package master

import "github.com/usher-go/usher/master/internal/listen"

// This file is the end of a listener: what waits there when it comes is accepted,
// and nothing more, however fast clients come.

// takeBacklog accepts what already waits at a listener, as far as there is room.
// The greeters are dismissed.
func (a *acceptor) takeBacklog(l *listen.Listener) {
	for _, socket := range l.Sockets() {
		for left := listen.Waiting(socket); left > 0; {
			a.dispatcher.survey()
			a.settle()
			quota := min(a.quota(), left)
			if _, v := a.acceptFrom(l, socket, quota); quota == 0 || v != acceptNext {
				break
			}
			left -= quota
		}
	}
}
