package main

import (
	"fmt"
	"os"

	"github.com/usher-go/usher/worker"
	"golang.org/x/sys/unix"
)

// helpers are what the test binary can be instead of the command, by its first
// argument: worker programs, good and bad.
var helpers = map[string]func(){
	"worker-staying": func() { worker.Main(staying{}) },
	"worker-blocked": func() {
		worker.Main(worker.DataFunc(func(*worker.Conn, []byte) (int, error) {
			fmt.Fprintln(os.Stderr, "stuck")
			select {}
		}))
	},
	"worker-spinning": func() {
		worker.Main(worker.DataFunc(func(*worker.Conn, []byte) (int, error) {
			fmt.Fprintln(os.Stderr, "stuck")
			for n := 0; ; n++ {
			}
		}))
	},
	"worker-http": httpWorker,
	"worker-failing": func() {
		fmt.Fprint(os.Stderr, "first of my last words\ncannot open the database\n")
		os.Exit(7)
	},
	"worker-mute": func() {
		for {
			_, _ = unix.Ppoll(nil, nil, nil) // until a signal, and then again
		}
	},
}

// onlyOne returns for the first worker that is told to make a folder. All others are
// what is said, until they end.
func onlyOne(folder string, others func()) {
	if os.Mkdir(folder, 0o755) != nil {
		others()
		os.Exit(0)
	}
}

// staying is the app lines with sessions that cannot move to another worker.
type staying struct{}

func (s staying) Open(*worker.Conn) (worker.Session, error) { return s, nil }
func (staying) Data(c *worker.Conn, in []byte) (int, error) { return lines{}.Data(c, in) }
func (staying) EOF(c *worker.Conn, rest []byte) error       { return lines{}.EOF(c, rest) }
