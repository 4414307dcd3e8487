package master

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/internal/machine"
)

// ErrConfig is what errors about a Config wrap: nothing was started.
var ErrConfig = errors.New("configuration")

// ConfigError is what is wrong with one setting. It wraps ErrConfig.
type ConfigError struct {
	Key     string // as an operator knows it: max-conns
	Problem string // max-conns is -1, want 0 or more
	Where   string // its value is from, as Setting.Where: /etc/usher.toml:3; empty: that is not known, or it was typed
}

func (e *ConfigError) Error() string {
	where := ErrConfig.Error()
	if e.Where != "" {
		where = e.Where
	}
	return where + ": " + e.Problem
}
func (e *ConfigError) Unwrap() error { return ErrConfig }

// wrong returns what is wrong with a setting; the format goes on after its key.
func wrong(key, format string, args ...any) error {
	return &ConfigError{Key: key, Problem: key + " " + fmt.Sprintf(format, args...)}
}

// locate adds to an error about a setting where its value is from, by Settings.
func (c *Config) locate(err error) error {
	if e, ok := errors.AsType[*ConfigError](err); ok && e.Where == "" {
		located := *e
		located.Where = c.whereIs(e.Key)
		return &located
	}
	return err
}

// whereIs returns where a setting's value is from, or nothing.
func (c *Config) whereIs(key string) string {
	for _, s := range c.Settings {
		if s.Key == key {
			return s.Where
		}
	}
	return ""
}

// Check returns what is wrong with the configuration, as Run would: nil or an
// error that wraps ErrConfig. It changes nothing, and reads no file: ProgramPath and
// CheckTLS look at those.
func (c Config) Check() error {
	_, err := c.check()
	return err
}

// check fills in defaults and returns the parsed addresses.
func (c *Config) check() ([]Address, error) {
	c.FillIn()
	for _, n := range c.numbers() {
		if !n.good {
			return nil, wrong(n.key, "is %s, want %s", n.value, n.want)
		}
	}
	switch {
	case c.Overload != OverloadWait && c.Overload != OverloadClose:
		return nil, wrong("overload", "is %q, want %s or %s", c.Overload, OverloadWait, OverloadClose)
	case c.policy().Name == "":
		return nil, wrong("dispatch", "is %q, want one of %s", c.Dispatch, strings.Join(Policies(), ", "))
	case len(c.Program) == 0 || c.Program[0] == "":
		return nil, wrong("program", "is empty, want a program for the workers")
	case c.Workers < 1:
		return nil, wrong("workers", "is %d, want at least 1", c.Workers)
	case c.MaxWorkers < c.Workers:
		return nil, wrong("max-workers", "is %d, want at least workers, which is %d", c.MaxWorkers, c.Workers)
	case len(c.Listen) == 0:
		return nil, wrong("listen", "is empty, want an address to listen on")
	}
	addresses := make([]Address, len(c.Listen))
	for i, s := range c.Listen {
		var err error
		if addresses[i], err = ParseAddress(s); err != nil {
			return nil, &ConfigError{Key: "listen", Problem: err.Error()}
		}
	}
	if err := errors.Join(c.checkAdmin(), c.checkAccessLog(), c.checkTransports(addresses)); err != nil {
		return nil, err
	}
	return addresses, c.checkNumbers()
}

// FillIn puts defaults in the place of zero values, as Run does: two configurations may
// be compared after that. It may be called again.
func (c *Config) FillIn() {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.LogWriter == nil {
		c.LogWriter = NewLogWriter(io.Discard) // nothing is written to it
	}
	if c.BootTimeout == 0 {
		c.BootTimeout = DefaultBootTimeout
	}
	if c.TLSHandshakeTimeout == 0 {
		c.TLSHandshakeTimeout = DefaultTLSHandshakeTimeout
	}
	if c.MaxWorkers == 0 {
		c.MaxWorkers = max(DefaultMaxWorkers, c.Workers)
	}
	if c.Dispatch == "" {
		c.Dispatch = DefaultPolicy
	}
	if c.MaxConnsPerWorker == 0 {
		c.MaxConnsPerWorker = c.policy().PerWorker
	}
	if c.Acceptors == 0 {
		c.Acceptors = 1
	}
	if c.Overload == "" {
		c.Overload = OverloadWait
	}
	if c.AccessLogFormat == "" {
		c.AccessLogFormat = AccessCombined
	}
	c.memoryShare = max(MinWorkerMemory, machine.Memory()/8/int64(max(1, c.Workers, runtime.NumCPU())))
}

// number is what a number of a Config has to be.
type number struct {
	key   string
	value string // as the error shows it
	good  bool
	want  string
}

// numbers returns those of the Config that have a range of their own, after fillIn. How
// many workers there are to be, check compares itself.
func (c *Config) numbers() []number {
	return []number{
		{"acceptors", strconv.Itoa(c.Acceptors), c.Acceptors >= 1 && c.Acceptors <= MaxAcceptors, fmt.Sprintf("1 to %d", MaxAcceptors)},
		atLeast0("accept-rate", c.AcceptRate),
		atLeast0("backlog", c.Backlog),
		atLeast0("max-conns", c.MaxConns),
		atLeast0("max-conns-per-ip", c.MaxConnsPerIP),
		atLeast0("max-conns-per-worker", c.MaxConnsPerWorker),
		atLeast0("recycle-conns", c.RecycleConns),
		atLeast0("recycle-rss", c.RecycleRSS),
		atLeast0("worker-memory", c.WorkerMemory),
		{"worker-memory", fmt.Sprintf("%d bytes", c.WorkerMemory), c.WorkerMemory == 0 || c.WorkerMemory >= MinWorkerMemory, fmt.Sprintf("0 or at least %d", MinWorkerMemory)},
		atLeast0("drain-timeout", c.DrainTimeout),
		atLeast0("hang-timeout", c.HangTimeout),
		{"hang-timeout", c.HangTimeout.String(), c.HangTimeout == 0 || c.HangTimeout >= MinHangTimeout, fmt.Sprintf("0 or at least %v", MinHangTimeout)},
		atLeast0("idle-timeout", c.IdleTimeout),
		atLeast0("queue-timeout", c.QueueTimeout),
		atLeast0("recycle-age", c.RecycleAge),
		{"boot-timeout", c.BootTimeout.String(), c.BootTimeout > 0, "more than 0"},
		{"tls-handshake-timeout", c.TLSHandshakeTimeout.String(), c.TLSHandshakeTimeout > 0, "more than 0"},
		{"move-failures", fmt.Sprintf("%v%%", c.MoveFailures), c.MoveFailures <= 100, "at most 100%"},
	}
}

func atLeast0[N int | int64 | time.Duration](key string, value N) number {
	return number{key, fmt.Sprint(value), value >= 0, "0 or more"}
}

// addresses returns the parsed addresses of a configuration that was checked.
func (c *Config) addresses() []Address {
	addresses := make([]Address, len(c.Listen))
	for i, s := range c.Listen {
		addresses[i], _ = ParseAddress(s) // check has parsed it
	}
	return addresses
}

// fixed returns what a reload cannot change, by the key an operator knows.
func (c *Config) fixed() map[string]any {
	return map[string]any{"max-workers": c.MaxWorkers, "control": c.Control, "admin": c.Admin, "pid-file": c.PIDFile, "acceptors": c.Acceptors}
}

// allows refuses a change that needs a new master.
func (c *Config) allows(next *Config) error {
	var changed []string
	before, after := c.fixed(), next.fixed()
	for key := range before {
		if !reflect.DeepEqual(before[key], after[key]) {
			changed = append(changed, key)
		}
	}
	return CannotChange(changed)
}

// CannotChange returns the error by which a reload is refused that changes settings
// which only a new master can: their keys, as an operator knows them, which it sorts. It
// is nil for none.
func CannotChange(keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	slices.Sort(keys)
	return fmt.Errorf("%w: %s cannot change by a reload; for that stop the server and start it anew, which closes its connections", ErrConfig, strings.Join(keys, ", "))
}
