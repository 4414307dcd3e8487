package main

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/usher-go/usher/master"
)

// serveLimited is serve where the user, a new one in a namespace of its own, may have
// only so much of something (namespaces(7), /proc/sys/user).
func serveLimited(t *testing.T, file, limit string, args ...string) *server {
	t.Helper()
	wrap := func(cmd *exec.Cmd) *exec.Cmd {
		// The shell becomes the command.
		inside := exec.Command("/bin/sh", append([]string{"-c", `echo "$0" > "$1" && shift && exec "$@"`, limit, "/proc/sys/user/" + file}, cmd.Args...)...)
		inside.Env = cmd.Env
		inside.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: syscall.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: syscall.Getgid(), Size: 1}},
		}
		return inside
	}
	if out, err := wrap(exec.Command("/bin/true")).CombinedOutput(); err != nil {
		t.Skipf("no user namespace to limit %s in: %v: %s", file, err, out)
	}
	control := filepath.Join(shortDir(t), "c")
	cmd, mark := command(append([]string{"serve", "--listen", "127.0.0.1:0", "--control", control}, args...)...)
	s := launchAs(t, wrap(cmd), mark, control)
	s.awaitStart()
	return s
}

// What the kernel lets a user watch by inotify is no limit to the connections that
// blocking programs have: all are served, and those beyond are counted too when they
// close.
func TestStreamsBeyondInotify(t *testing.T) {
	t.Parallel()
	const clients = 100
	tests := []struct{ name, file, limit string }{
		{"a few watches", "max_inotify_watches", "41"},
		{"no instance", "max_inotify_instances", "0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := serveLimited(t, test.file, test.limit, "--workers", "2", "--", self(), "worker-http")
			for range 2 {
				var all []*keepAlive
				for range clients {
					conn, err := connect(s.address)
					if err != nil {
						t.Fatal(err)
					}
					k := &keepAlive{conn.conn, bufio.NewReader(conn.conn)}
					k.get(t)
					all = append(all, k)
				}
				if status, err := s.status(); err != nil || status.Connections.Active != clients {
					t.Errorf("%+v, %v; want %d active", status.Connections, err, clients)
				}
				for _, k := range all {
					k.get(t)
					_ = k.Close() // it has its answer
				}
				s.until("all have left", func(status master.Status) bool { return status.Connections.Active == 0 })
			}
			s.log.await(t, 1, "[WARN]", "inotify")
			s.stop()
		})
	}
}
