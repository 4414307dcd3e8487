package master

import (
	"errors"
	"testing"
	"time"
)

// good is a Config that is complete.
func good() Config {
	return Config{Listen: []string{"127.0.0.1:0"}, Program: []string{"/bin/true"}, Workers: 2}
}

// Each setting that is wrong is named by its key, and what it may be is said.
func TestConfigCheck(t *testing.T) {
	if err := new(Config).Check(); !errors.Is(err, ErrConfig) {
		t.Errorf("the zero value: %v", err)
	}
	for _, test := range []struct {
		name   string
		change func(c *Config)
		want   string // as an operator reads it; empty: it is good
	}{
		{"good", func(*Config) {}, ""},
		{"no address", func(c *Config) { c.Listen = nil }, "listen is empty, want an address to listen on"},
		{"no program", func(c *Config) { c.Program = nil }, "program is empty, want a program for the workers"},
		{"no workers", func(c *Config) { c.Workers = 0 }, "workers is 0, want at least 1"},
		{"too few of most workers", func(c *Config) { c.MaxWorkers = 1 }, "max-workers is 1, want at least workers, which is 2"},
		{"a policy that there is not", func(c *Config) { c.Dispatch = "random" }, `dispatch is "random", want one of hash, least, queue, round-robin`},
		{"an overload that there is not", func(c *Config) { c.Overload = "drop" }, `overload is "drop", want wait or close`},
		{"as many acceptors as may be", func(c *Config) { c.Acceptors = MaxAcceptors }, ""},
		{"one more", func(c *Config) { c.Acceptors = MaxAcceptors + 1 }, "acceptors is 65, want 1 to 64"},
		{"a negative number", func(c *Config) { c.MaxConns = -1 }, "max-conns is -1, want 0 or more"},
		{"a negative time", func(c *Config) { c.RecycleAge = -time.Second }, "recycle-age is -1s, want 0 or more"},
		{"the default boot timeout", func(c *Config) { c.BootTimeout = 0 }, ""},
		{"no boot timeout", func(c *Config) { c.BootTimeout = -1 }, "boot-timeout is -1ns, want more than 0"},
		{"the least hang timeout", func(c *Config) { c.HangTimeout = MinHangTimeout }, ""},
		{"less", func(c *Config) { c.HangTimeout = time.Second }, "hang-timeout is 1s, want 0 or at least 2s"},
		{"a negative hang timeout", func(c *Config) { c.HangTimeout = -time.Second }, "hang-timeout is -1s, want 0 or more"},
		{"the least memory", func(c *Config) { c.WorkerMemory = MinWorkerMemory }, ""},
		{"less memory", func(c *Config) { c.WorkerMemory = 1 }, "worker-memory is 1 bytes, want 0 or at least 1048576"},
		{"negative memory", func(c *Config) { c.WorkerMemory = -1 }, "worker-memory is -1, want 0 or more"},
		{"no failures at all", func(c *Config) { c.MoveFailures = -1 }, ""},
		{"more failures than moves", func(c *Config) { c.MoveFailures = 101 }, "move-failures is 101%, want at most 100%"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := good()
			test.change(&c)
			err := c.Check()
			if wrong, ok := errors.AsType[*ConfigError](err); err != nil && (!ok || wrong.Problem != test.want) || (err == nil) != (test.want == "") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// What only a new master can change is refused at a reload, all of it in one error.
func TestConfigAllows(t *testing.T) {
	inForce, next := good(), good()
	next.Workers, next.Dispatch, next.DrainTimeout = 3, "hash", time.Second
	if err := inForce.allows(&next); err != nil {
		t.Error(err)
	}
	next.MaxWorkers, next.Acceptors, next.Control, next.Admin, next.PIDFile = 3, 2, "/c", "127.0.0.1:9100", "/p"
	err := inForce.allows(&next)
	if want := "configuration: acceptors, admin, control, max-workers, pid-file cannot change by a reload; for that stop the server and start it anew, which closes its connections"; err == nil || err.Error() != want || !errors.Is(err, ErrConfig) {
		t.Errorf("%v, want %s", err, want)
	}
}
