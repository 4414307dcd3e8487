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
