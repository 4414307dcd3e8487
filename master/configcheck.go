package master

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"runtime"
	"slices"
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
}

func (e *ConfigError) Error() string { return ErrConfig.Error() + ": " + e.Problem }
func (e *ConfigError) Unwrap() error { return ErrConfig }

// wrong returns what is wrong with a setting; the format goes on after its key.
func wrong(key, format string, args ...any) error {
	return &ConfigError{Key: key, Problem: key + " " + fmt.Sprintf(format, args...)}
}

// Check returns what is wrong with the configuration, as Run would: nil or an
// error that wraps ErrConfig. It changes nothing.
func (c Config) Check() error {
	_, err := c.check()
	return err
}

// check fills in defaults and returns the parsed addresses.
func (c *Config) check() ([]Address, error) {
	if c.Logger == nil {
		c.Logger = hclog.NewNullLogger()
	}
	if c.LogWriter == nil {
		c.LogWriter = NewLogWriter(io.Discard) // nothing is written to it
	}
	if c.BootTimeout == 0 {
		c.BootTimeout = DefaultBootTimeout
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
	if c.Acceptors < 1 || c.Acceptors > MaxAcceptors {
		return nil, wrong("acceptors", "is %d, want 1 to %d", c.Acceptors, MaxAcceptors)
	}
	if c.Overload == "" {
		c.Overload = OverloadWait
	}
	c.memoryShare = max(MinWorkerMemory, machine.Memory()/8/int64(max(1, c.Workers, runtime.NumCPU())))
	counts := map[string]int64{
		"max-conns": int64(c.MaxConns), "max-conns-per-ip": int64(c.MaxConnsPerIP),
		"max-conns-per-worker": int64(c.MaxConnsPerWorker), "accept-rate": int64(c.AcceptRate),
		"backlog": int64(c.Backlog), "recycle-conns": int64(c.RecycleConns), "recycle-rss": c.RecycleRSS,
		"worker-memory": c.WorkerMemory,
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if counts[key] < 0 {
			return nil, wrong(key, "is %d, want 0 or more", counts[key])
		}
	}
	times := map[string]time.Duration{
		"idle-timeout": c.IdleTimeout, "queue-timeout": c.QueueTimeout, "drain-timeout": c.DrainTimeout,
		"hang-timeout": c.HangTimeout, "recycle-age": c.RecycleAge,
	}
	for _, key := range slices.Sorted(maps.Keys(times)) {
		if times[key] < 0 {
			return nil, wrong(key, "is %v, want 0 or more", times[key])
		}
	}
	if c.HangTimeout > 0 && c.HangTimeout < 2*sampleEvery {
		return nil, wrong("hang-timeout", "is %v, want 0 or at least %v", c.HangTimeout, 2*sampleEvery)
	}
	switch {
	case c.BootTimeout < 0:
		return nil, wrong("boot-timeout", "is %v, want more than 0", c.BootTimeout)
	case c.Overload != OverloadWait && c.Overload != OverloadClose:
		return nil, wrong("overload", "is %q, want %s or %s", c.Overload, OverloadWait, OverloadClose)
	case c.policy().Name == "":
		return nil, wrong("dispatch", "is %q, want one of %s", c.Dispatch, strings.Join(Policies(), ", "))
	case c.WorkerMemory > 0 && c.WorkerMemory < MinWorkerMemory:
		return nil, wrong("worker-memory", "is %d bytes, want 0 or at least %d", c.WorkerMemory, MinWorkerMemory)
	case c.MoveFailures > 100:
		return nil, wrong("move-failures", "is %v%%, want at most 100%%", c.MoveFailures)
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
	return addresses, nil
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
	return map[string]any{"max-workers": c.MaxWorkers, "control": c.Control, "pid-file": c.PIDFile, "acceptors": c.Acceptors}
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
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	return fmt.Errorf("%w: %s cannot change by a reload; restart the master for that", ErrConfig, strings.Join(changed, ", "))
}
