package main

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// The only worker is told to end while its program cannot be started, so that it
// keeps its connections, for as long as that takes. A handler that blocks for ever
// then is found as in any other worker: nothing else would ever end its clients' wait.
func TestHangOfKeptWorker(t *testing.T) {
	t.Parallel()
	s, program := serveDeployed(t, "worker-hanging", "--workers", "1", "--hang-timeout", hangTimeout.String())
	hanging, other := dial(t, s.address), dial(t, s.address)
	pid := hanging.ask(t, "hello")
	other.ask(t, "hello")
	script(t, program, "#!/bin/sh\nexit 1\n")
	kill(t, pid, unix.SIGTERM)
	s.log.await(t, 1, "worker keeps its connections", "pid="+strconv.Itoa(pid))
	if err := hanging.send("hang\n"); err != nil {
		t.Fatal(err)
	}
	s.log.await(t, 1, "[ERROR]", "worker hangs, aborting it", "pid="+strconv.Itoa(pid)+" ")
	s.log.await(t, 1, "worker output", "hangForEver")
	for _, c := range []*client{hanging, other} {
		if err := c.atEnd(); os.IsTimeout(err) {
			t.Errorf("a client of the worker that hung: %v, want the end or a reset", err)
		}
		_ = c.conn.Close() // it has ended
	}
	s.signal(unix.SIGTERM)
	s.ends(0)
}
