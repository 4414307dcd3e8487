package worker

import (
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Option changes a default of Main and Run.
type Option func(*options)

// options are what a loop and a member are made with.
type options struct {
	log          hclog.Logger
	maxInput     int
	maxOutput    int
	stateVersion string
	flushTime    time.Duration
	hooks        Hooks
	ticks        []tick
	strict       bool
	memory       int64
	transports   transports
	protos       []string
	maxWaiting   int
	accessLog    *AccessLog
	reservedFDs  int
}

func newOptions(opts []Option) options {
	o := options{maxInput: 1 << 20, maxOutput: 16 << 20, flushTime: flushTime, strict: debugging(), maxWaiting: maxWaiting}
	for _, opt := range opts {
		opt(&o)
	}
	if o.accessLog == nil {
		o.accessLog = new(AccessLog)
	}
	if o.log == nil {
		o.log = hclog.New(&hclog.LoggerOptions{
			Name:        "worker",
			Output:      os.Stderr,
			DisableTime: true, // the master adds it when it copies the line
		})
	}
	return o
}

// WithLogger sets where the worker logs; nil, the default, is standard error,
// which the master copies into its own log.
func WithLogger(log hclog.Logger) Option {
	return func(o *options) { o.log = log }
}

// WithStateVersion names the version of the application whose sessions'
// MarshalBinary is at work here, at most 255 bytes. It travels with each
// connection; see Conn.StateVersion. The default is empty.
func WithStateVersion(version string) Option {
	return func(o *options) { o.stateVersion = version[:min(len(version), maxStateVersion)] }
}

// WithMaxInput bounds the bytes that a session may leave unconsumed, for each
// connection that has no bound of its own (Conn.SetMaxInput). The default is
// 1 MiB.
func WithMaxInput(bytes int) Option {
	return func(o *options) { o.maxInput = bytes }
}

// WithMaxOutput bounds the bytes written but not yet taken by the kernel, for
// each connection: with TLS, as Conn.Buffered counts them. The default is 16 MiB.
func WithMaxOutput(bytes int) Option {
	return func(o *options) { o.maxOutput = bytes }
}

// WithReservedDescriptors keeps n descriptors of the process from connections, in addition to
// the 64 that always are: for a program that holds files open, or connections of its own.
// The worker says that it can hold so many fewer. At least a quarter of the limit
// (RLIMIT_NOFILE) is left for connections, whatever n is. The default is 0.
func WithReservedDescriptors(n int) Option {
	return func(o *options) { o.reservedFDs = n }
}

// WithALPN offers protocols to clients that connect by TLS, the best first (RFC 7301). A
// client that asks for some, and for none of these, is refused; one that asks for none is
// served. Without this option none is agreed on. Conn.TLS has what was.
func WithALPN(protos ...string) Option {
	return func(o *options) { o.protos = protos }
}
