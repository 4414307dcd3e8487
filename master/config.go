package master

import (
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/dispatch"
)

// Config is what a master is to do. Listen, Program and Workers must be set.
// A reload may change all but MaxWorkers, Acceptors, Control, Admin and PIDFile, which it refuses
// to, and Logger, LogWriter, Started, ReopenLogs and Reread, which stay the first ones.
type Config struct {
	// Listen are the addresses to serve, as ParseAddress reads them.
	Listen []string
	// Program is the worker's path and arguments. A path without a slash is
	// looked up in PATH, at the start and at each reload. Until the next reload all
	// workers run the file that was found then, unless it is a script.
	Program []string
	// Directory is the folder that workers are started in, and that a relative path
	// in Program counts from; symlinks in it are followed at the start and at each
	// reload. Empty: the master's own.
	Directory string
	// ProgramGiven is where an operator gave Program, as in "check the path after --",
	// for the message that it does not start; empty: nothing is said of that.
	ProgramGiven string
	// App is passed on to the worker: which of its apps it is to run.
	App string
	// Workers is how many to start, at least 1.
	Workers int
	// MaxWorkers bounds scaling; 0 means DefaultMaxWorkers, or Workers if that is more.
	MaxWorkers int
	// Dispatch names the policy that chooses a worker for each connection, one
	// of Policies; empty means DefaultPolicy.
	Dispatch string
	// MaxConnsPerWorker is the most connections that a worker is given at a
	// time, within its own capacity; 0 means no other limit than that, but 1
	// under the policy queue.
	MaxConnsPerWorker int
	// MaxConns is the most connections of the server at a time; 0 means no limit.
	MaxConns int
	// MaxConnsPerIP is the most connections from one IPv4 address, or IPv6
	// network of 64 bits, at a time; 0 means no limit.
	MaxConnsPerIP int
	// AcceptRate is the most connections accepted in a second; 0 means no limit.
	AcceptRate int
	// Overload says what happens to clients beyond a limit of the server:
	// OverloadWait, which is also what empty means, or OverloadClose.
	Overload string
	// IdleTimeout is after how long without a byte a worker closes a
	// connection; 0 means never.
	IdleTimeout time.Duration
	// QueueTimeout is how long after it was accepted a connection is still worth
	// serving; one that a worker comes to later is closed. 0 means for ever.
	QueueTimeout time.Duration
	// Acceptors is how many goroutines accept, at most MaxAcceptors, each from a
	// TCP socket of its own for each address; 0 means 1. Unix sockets, and those
	// that systemd passes, have one.
	Acceptors int
	// Backlog is the most clients that wait in the kernel for each listener;
	// 0 means as many as it allows (somaxconn).
	Backlog int
	// DrainTimeout is how long connections of a worker that drains may go on;
	// 0 cuts them at once.
	DrainTimeout time.Duration
	// BootTimeout is how long a worker may take to say ready; 0 means DefaultBootTimeout.
	BootTimeout time.Duration
	// Rebalance has connections move from the fullest workers to the emptiest
	// until all have as many, within one.
	Rebalance bool
	// MoveFailures is the share of the connections that a reload moves, in percent,
	// which may be lost because the new program cannot restore them; if more are, the
	// rest stays where it is. 0 means DefaultMoveFailures, negative means none.
	MoveFailures float64
	// HangTimeout is how long a worker's loop may stand still, in one handler or
	// with connections in its queue, before it is aborted, at least MinHangTimeout; 0
	// means for ever.
	HangTimeout time.Duration
	// RecycleConns, RecycleAge and RecycleRSS (bytes) are after how many
	// connections, at what age and with how much resident memory a worker is
	// replaced, each ±10 %; 0 means never.
	RecycleConns int
	RecycleAge   time.Duration
	RecycleRSS   int64
	// WorkerMemory is how many bytes the connections of a worker may buffer, all
	// together: see worker.WithMemory; at least MinWorkerMemory. 0 means a default, which
	// the worker's program may replace by its own: an eighth of what this process may
	// have of the machine's memory (cgroups(7)), divided by Workers or by the processors,
	// whichever are more.
	WorkerMemory int64
	// TLSCerts and TLSKeys are PEM files, of certificates, each with those of its issuers
	// after it, and of their private keys: pairs, by their places. TLS picks one by the name
	// that the client asks for; else it is the first, or that of a listener's option cert.
	// Like all files for TLS they are read at the start and at each reload, which is refused
	// if they are not good. Relative paths count from Directory.
	TLSCerts []string
	TLSKeys  []string
	// TLSClientCA is a PEM file of the CAs of which clients must show a certificate; empty:
	// they need none.
	TLSClientCA string
	// TLSMin is the least version of TLS, 1.2 or 1.3; empty means 1.2.
	TLSMin string
	// TLSHandshakeTimeout is how long a TLS handshake may take; 0 means
	// DefaultTLSHandshakeTimeout.
	TLSHandshakeTimeout time.Duration
	// TLSOCSP are DER files, each an OCSP answer about one of TLSCerts, which handshakes
	// pass on.
	TLSOCSP []string
	// TLSTicketKeys is a file of keys for session tickets, for several machines that share
	// them: a line each, the base64 of 32 bytes. The first seals, all open. Empty: the
	// master makes its own, daily.
	TLSTicketKeys string
	// Control is the path of the control socket; empty: none.
	Control string
	// PrivateControl is for a control socket in a folder that is to be this user's
	// alone: it is made if it is not there, and one that is another's, a symlink or
	// open to others is refused.
	PrivateControl bool
	// Admin is the address, HOST:PORT, at which GET /metrics, /livez and /readyz are answered
	// over TCP to whoever can connect, and nothing that changes anything; empty: none.
	Admin string
	// PIDFile is written once the master listens and removed when it ends; empty: none.
	PIDFile string
	// Version is shown by status.
	Version string
	// Logger is for everything; nil: nothing is logged. Every goroutine of the
	// master uses it, so it must not block: one that writes to a file, a pipe or a
	// terminal itself does. See LogWriter.
	Logger hclog.Logger
	// LogWriter is what Logger writes to, if it writes to one; nil: it does not. The
	// master then reads the standard error of workers only as fast as LogWriter has
	// room. An upgrade in place waits up to 100 ms until what waits there is written,
	// and the next program logs how many lines are missing.
	LogWriter *LogWriter
	// Started is called once, by one of the master's goroutines, when connections are
	// first accepted: each of the first workers is ready then, or has failed once, and
	// one at least is ready. After an upgrade in place it is not called. It must not
	// block. It may be nil.
	Started func(Status)

	// ReopenLogs opens the log file anew; nil: there is none. It is called by a goroutine
	// that is there for nothing else: it may block for some seconds.
	ReopenLogs func() error
	// AccessLog is the file in which workers that can log each request that they serve;
	// StandardOutput is the master's own; empty: there is none. It is opened at the start, by
	// a reload that changes it, and when ReopenLogs is called, to append to.
	AccessLog string
	// AccessLogFormat is AccessCombined, which is also what empty means, or AccessJSON.
	AccessLogFormat string
	// LogLevel is set on Logger at a reload that changes it.
	LogLevel hclog.Level
	// Settings are what GET /v1/config answers, for an operator: what was set, and where.
	// The master itself does not look at them; none: it answers an empty list.
	Settings []Setting
	// Reread returns the configuration anew, for a reload, given the one that is in
	// force; nil: it never changes. It is called from one of the master's goroutines.
	Reread func(inForce *Config) (Config, error)

	// Carry is handed to the program that takes over by an upgrade in place, which
	// gets it by Carried: what that program needs to come to the same Config.
	Carry []byte

	defaultCapacity int        // of a worker that does not say
	memoryShare     int64      // of a worker: the default of WorkerMemory
	tls             *loadedTLS // nil until loadTLS
	access          *accessLog // nil until openAccessLog, and if there is none
}

// The values of Config.Overload.
const (
	OverloadWait  = "wait"  // they wait in the backlog
	OverloadClose = "close" // they are accepted and closed, and counted as refused
)

// Policies returns the names of the dispatch policies.
func Policies() []string { return dispatch.Policies() }

// PolicyHelp says in one sentence what each policy does.
func PolicyHelp() string { return dispatch.PolicyHelp() }

// PerWorkerHelp says which default of MaxConnsPerWorker a policy brings.
func PerWorkerHelp() string { return dispatch.PerWorkerHelp() }

// DefaultPolicy is the name of the policy that is used if none is named.
const DefaultPolicy = dispatch.DefaultPolicy

// The defaults of Config's zero values, and what bounds others.
const (
	DefaultMaxWorkers  = 256
	MaxAcceptors       = 64
	DefaultBootTimeout = 10 * time.Second
	// DefaultTLSHandshakeTimeout is that of other servers, or less.
	DefaultTLSHandshakeTimeout = 10 * time.Second
	// DefaultMoveFailures is in percent.
	DefaultMoveFailures = 1.0
	// MinHangTimeout is the least HangTimeout: workers are looked at every second.
	MinHangTimeout = 2 * sampleEvery
	// MinWorkerMemory is the least WorkerMemory: below it hardly a connection could
	// answer at length.
	MinWorkerMemory = 1 << 20
)

// hello returns what a worker is told first.
func (c *Config) hello() ipc.Hello {
	hello := ipc.Hello{
		Protocol: ipc.Version, App: c.App,
		MaxConns: c.MaxConnsPerWorker, IdleTimeoutMS: atLeastOne(c.IdleTimeout.Milliseconds(), c.IdleTimeout),
		QueueTimeoutMS: atLeastOne(c.QueueTimeout.Milliseconds(), c.QueueTimeout),
		MemoryBytes:    c.WorkerMemory, TLS: c.servesTLS(),
		AccessLog: c.access.formatName(),
	}
	if c.WorkerMemory == 0 {
		hello.MemoryBytes, hello.MemoryIsDefault = c.memoryShare, true
	}
	if hello.TLS {
		hello.TLSHandshakeTimeoutMS = atLeastOne(c.TLSHandshakeTimeout.Milliseconds(), c.TLSHandshakeTimeout)
	}
	if c.MaxConnsPerIP > 0 {
		hello.Report = ipc.ReportIDs
	}
	return hello
}

// atLeastOne keeps a timeout below a millisecond from becoming none.
func atLeastOne(millis int64, d time.Duration) int64 {
	if d > 0 {
		return max(1, millis)
	}
	return 0
}

// moveFailures is MoveFailures as a share from 0 to 1.
func (c *Config) moveFailures() float64 {
	if c.MoveFailures == 0 {
		return DefaultMoveFailures / 100
	}
	return max(0, c.MoveFailures) / 100
}

// needsCloses returns the name of a flag that needs a worker to say when it
// closes connections, or nothing.
func (c *Config) needsCloses() string {
	switch {
	case c.MaxConnsPerIP > 0:
		return "max-conns-per-ip"
	case c.MaxConns > 0:
		return "max-conns"
	case c.policy().NeedsCloses:
		return "dispatch " + c.Dispatch
	case c.MaxConnsPerWorker > 0:
		return "max-conns-per-worker"
	}
	return ""
}

// policy is the row of Dispatch; the zero value if there is none.
func (c *Config) policy() dispatch.Policy {
	p, _ := dispatch.LookupPolicy(c.Dispatch)
	return p
}
