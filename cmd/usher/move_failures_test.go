package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

var errOldState = errors.New("what is a sum?")

func init() {
	helpers["worker-forgetting"] = summingWith("2", func(*summing, *worker.Conn) error { return errOldState })
	helpers["worker-crashing"] = summingWith("2", func(*summing, *worker.Conn) error {
		os.Exit(3)
		return nil
	})
	helpers["worker-forgetting-some"] = summingWith("2", func(_ *summing, c *worker.Conn) error {
		if c.ID()%400 == 0 {
			return errOldState
		}
		return nil
	})
	helpers["worker-migrating"] = summingWith("2", func(s *summing, c *worker.Conn) error {
		if c.StateVersion() != "1" {
			return fmt.Errorf("state version %q, want 1", c.StateVersion())
		}
		return nil
	})
	helpers["worker-summing-1"] = summingWith("1", func(*summing, *worker.Conn) error { return nil })
}

// summingWith is summing with a version of its state, and a say in whether it is
// restored.
func summingWith(version string, restore func(*summing, *worker.Conn) error) func() {
	return func() {
		worker.Main(worker.OpenFunc(func(c *worker.Conn) (worker.Session, error) {
			return &pickySumming{conn: c, restore: restore}, nil
		}), worker.WithStateVersion(version))
	}
}

type pickySumming struct {
	summing
	conn    *worker.Conn
	restore func(*summing, *worker.Conn) error
}

func (s *pickySumming) UnmarshalBinary(b []byte) error {
	if err := s.restore(&s.summing, s.conn); err != nil {
		return err
	}
	return s.summing.UnmarshalBinary(b)
}

// deploy makes the program at path the worker of that name.
func deploy(t *testing.T, path, helper string) {
	t.Helper()
	script(t, path, fmt.Sprintf("#!/bin/sh\nexec %s %s\n", self(), helper))
}

// serveDeployed starts a server of a worker, and returns the path at which to deploy
// another.
func serveDeployed(t *testing.T, helper string, flags ...string) (s *server, program string) {
	t.Helper()
	program = filepath.Join(shortDir(t), "worker")
	deploy(t, program, helper)
	return serve(t, append(flags, "--", program)...), program
}

// A new program that cannot read the state of the old one: few connections are
// lost before that is noticed, and the others stay with the old program, beyond
// every deadline, until there is a program that can.
func TestDeployThatForgets(t *testing.T) {
	for _, test := range []struct{ helper, want string }{
		{"worker-forgetting", errOldState.Error()},
		{"worker-crashing", "could not be restored"},
	} {
		t.Run(test.helper, func(t *testing.T) {
			clients := sized(200, 2000)
			const timeout = 3 * time.Second
			s, program := serveDeployed(t, "worker-summing-1", "--workers", "2", "--drain-timeout", timeout.String())
			c := gatherTolerant(t, s.address, clients)
			s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
			deploy(t, program, test.helper)
			got := usher(t, "reload", "--control", s.control)
			if got.code != exitFailed || !strings.Contains(got.stderr, test.want) {
				t.Errorf("got %+v, want it to say %q", got, test.want)
			}
			t.Logf("%s", got.stderr)
			status := s.until("what is lost is booked", func(status master.Status) bool {
				return int(status.Connections.Active+status.Connections.Lost) == clients
			})
			if figures := regexp.MustCompile(`; moved: \d+, drained: 0, staying: \d+, lost: \d+\n$`); !figures.MatchString(got.stderr) {
				t.Errorf("%q, want it to say what became of the connections", got.stderr)
			}
			if lost := status.Connections.Lost; lost == 0 || lost > 3 {
				t.Errorf("%d lost, want 1 to 3", lost)
			}
			lost := int(status.Connections.Lost)
			<-time.After(timeout) // that is what is to make no difference
			lines := c.lines.Load()
			until(t, "the others go on", func() (bool, string) {
				n := c.lines.Load() - lines
				return n > uint64(10*clients), fmt.Sprint(n)
			})
			s.signal(unix.SIGHUP) // no better
			s.until("generation 3", func(status master.Status) bool { return status.Generation == 3 })
			deploy(t, program, "worker-summing-1")
			until(t, "all have moved to a program that can", func() (bool, string) {
				got := usher(t, "reload", "--control", s.control)
				return got.code == 0, got.stderr
			})
			after := s.until("the old workers are gone", func(status master.Status) bool { return ready(2)(status) && lingering(status) == 0 })
			c.disperse()
			t.Logf("%d clients, %d lines, %d failed; %+v", clients, c.lines.Load(), c.failed.Load(), after.Connections)
			if int(c.failed.Load()) != int(after.Connections.Lost) || int(after.Connections.Lost) > lost+3 {
				t.Errorf("%d clients failed, %d lost, %d of them at first", c.failed.Load(), after.Connections.Lost, lost)
			}
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}

// A new program that reads the state of an older version, and one that fails
// for few, below the limit: everybody else moves.
func TestDeployThatMigrates(t *testing.T) {
	for _, test := range []struct {
		helper string
		lost   int
	}{
		{"worker-migrating", 0},
		{"worker-forgetting-some", 1},
	} {
		t.Run(test.helper, func(t *testing.T) {
			const clients = 400
			s, program := serveDeployed(t, "worker-summing-1", "--workers", "2")
			c := gatherTolerant(t, s.address, clients)
			s.until("all are there", func(status master.Status) bool { return int(status.Connections.Active) == clients })
			deploy(t, program, test.helper)
			got := usher(t, "reload", "--control", s.control)
			if lost := fmt.Sprintf("\nlost: %d\n", test.lost); (got.code != 0) != (test.lost > 0) || !strings.Contains(got.stdout, lost) {
				t.Errorf("%+v, want %q, and to fail if any was", got, lost)
			}
			status := s.until("the old workers are gone", ready(2))
			c.disperse()
			t.Logf("%d lines, %d failed; %+v", c.lines.Load(), c.failed.Load(), status.Connections)
			if int(status.Connections.Lost) != test.lost || int(c.failed.Load()) != test.lost || int(status.Connections.Moved) != clients {
				t.Errorf("%+v, %d failed; want %d lost, %d moved", status.Connections, c.failed.Load(), test.lost, clients)
			}
			if line := s.log.with("reloaded:"); len(line) != 1 || !strings.Contains(line[0], "longest_pause=") || !strings.Contains(line[0], fmt.Sprintf("lost=%d", test.lost)) {
				t.Errorf("the log says %q", line)
			}
			s.signal(unix.SIGTERM)
			s.ends(0)
		})
	}
}
