// Package killpoint names the moments in a connection's hand-over at which the
// death of a worker makes a difference, and lets a test stop a process there.
//
// Master and worker call Reach at each moment, which does nothing in a normal build.
// Built with the tag killpoints, the first process that reaches the point named
// in the environment stops itself there (SIGSTOP); a test then kills the worker
// and looks at what became of the connection. Table says what should.
package killpoint

// Point is a moment in the life of one connection.
type Point int

// The points, in the order in which a connection passes them.
const (
	Accepted Point = iota // the master has accepted it
	Sent                  // it is in the slot's queue
	Noticed               // the worker is about to read its queue
	Received              // the worker has the descriptor
	Booked                // the worker has booked that in the scoreboard
	Opened                // the session is open
	Answered              // the first answer is written
	Closing               // the descriptor is about to be closed
	Closed                // the descriptor is closed
	Settled               // the worker has booked that, too

	// A connection that moves to another worker passes these when it leaves the first.
	Packed // it is frozen, in a packet that the kernel has not got
	Gone   // the kernel has the packet, and the worker has not yet forgotten the connection
)

// Fate is what becomes of a connection whose worker is killed at a point, seen
// by its client and in the master's books.
type Fate struct {
	Served bool // some worker answers it in full
	Lost   bool // the master books it as lost; else as closed
}

// Table is the one list of the points: where each is, and what the design says
// of a death there.
var Table = [...]struct {
	Name     string
	InMaster bool // the master stops there, and the worker is killed meanwhile
	Fate     Fate
	Moving   bool // only a connection that leaves its worker comes there
}{
	// What the worker has not received is served by its successor.
	Accepted: {"accepted", true, Fate{Served: true}, false},
	Sent:     {"sent", true, Fate{Served: true}, false},
	Noticed:  {"noticed", false, Fate{Served: true}, false},
	// From here on the connection is the worker's, and dies with it.
	Received: {"received", false, Fate{Lost: true}, false},
	Booked:   {"booked", false, Fate{Lost: true}, false},
	Opened:   {"opened", false, Fate{Lost: true}, false},
	Answered: {"answered", false, Fate{Lost: true}, false},
	// The client has all its answers by now, but the books count a connection
	// as closed only once close(2) has returned and the worker has said so.
	Closing: {"closing", false, Fate{Served: true, Lost: true}, false},
	Closed:  {"closed", false, Fate{Served: true, Lost: true}, false},
	Settled: {"settled", false, Fate{Served: true}, false},
	// The connection is the worker's until the kernel has the packet.
	Packed: {"packed", false, Fate{Lost: true}, true},
	Gone:   {"gone", false, Fate{Served: true}, true},
}

// The environment of a process built with the tag killpoints.
const (
	// EnvPoint is the name of the point to stop at.
	EnvPoint = "KILLPOINT"
	// EnvFile is a path that does not exist: whoever creates it is the one to
	// stop, and writes its pid into it.
	EnvFile = "KILLPOINT_FILE"
)
