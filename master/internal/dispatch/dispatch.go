// Package dispatch accepts connections and gives each to a worker: the accept goroutine
// of a master, and all that is its own.
//
// A connection goes this way:
//
//	accept.go, subacceptor.go   accept4(2), on the accept goroutine or a further one
//	limits.go, census.go    whether it may come in
//	policy.go               which worker it is for
//	dispatcher.go           it is sent to that worker's queue
//	queue.go, ledger.go      the queue, and what became of what was sent there
//	fetch.go                it comes back: given back, or left by a worker that ended
//
// The accept goroutine alone touches the queues and the books (Acceptor). Others ask it
// by the methods of Acceptor, each a request that is a value (requests.go); what it tells
// in its own time are events, values too (event.go). Nothing here knows of processes,
// configurations or the control socket, and nothing of package master.
//
// At any time each connection that was accepted is held by the accept goroutine, or in
// one queue, or at one worker, or closed: Totals always add up.
package dispatch
