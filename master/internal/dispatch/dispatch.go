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
// The accept goroutine (Acceptor) alone touches all this. Others ask it by the methods of
// Acceptor, which are requests that are values (requests.go); what it tells in its own
// time are events, values too (event.go). Nothing here knows of processes, configurations
// or the control socket, and nothing of package master.
//
// Each connection that was accepted is at any time in the batch, in one queue, at one
// worker, or over: Totals always add up.
package dispatch
