// Package dispatch accepts connections and gives each to a worker: the accept goroutine
// of a master, and all that is its own.
//
// A connection goes this way:
//
//	acceptloop.go, accept.go   accept4(2), on the accept goroutine or a subacceptor's
//	limits.go, perip.go        whether it may come in; then it is in the batch (batch.go)
//	capacity.go, policy.go     which worker has room, and is to have it
//	send.go                    it is sent to that worker's queue
//	workerqueue.go, ledger.go  the queue, and what became of what was sent there
//	reclaim.go, givenback.go   it comes back: given back, or left unread
//	moveguard.go, guarded.go   it moves in a reload, to a generation that may fail it
//
// All of it is in the master process. A worker has the other end of its queue, which is a
// pair of Unix sockets, and counts in shared memory what it received and closed
// (ipc.Entry). Who runs what:
//
//	accept goroutine  acceptGoroutine (goroutine.go), and all that it has: it takes a turn
//	                  (turn.go), and waits by epoll until there is something to do
//	subacceptors      goroutines that only accept, for --acceptors (subacceptor.go)
//	the supervisor    has a handle, Acceptor (acceptor.go): it asks by requests, which are
//	                  values (requests.go), and is told events, values too (event.go)
//
// Nothing here knows of processes, configurations or the control socket, and nothing of
// package master.
//
// Each connection that was accepted is pending, if a subacceptor accepted it and there is
// no room yet; and then in the batch, in one queue, at one worker, or over: Totals always
// add up.
package dispatch
