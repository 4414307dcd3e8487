package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/usher-go/usher/master"
	"golang.org/x/sys/unix"
)

// postShowing is post, and shows on standard error, if that is a terminal, how far the
// master has come: one line, which is gone in the end.
func postShowing(control, what, path string, request, answer any) error {
	conn, err := dialMaster(control)
	if err != nil {
		return err
	}
	stop := showProgress(os.Stderr, control, what)
	defer stop()
	return postOver(conn, path, request, answer)
}

// progressPace is how often the line is written anew. What is done sooner shows nothing.
const progressPace = 300 * time.Millisecond

// showProgress writes the line until stop is called, which waits for its end. It does
// nothing if to is no terminal, or this is a job in the background, which a terminal may
// stop for writing (termios(3), TOSTOP).
func showProgress(to *os.File, control, what string) (stop func()) {
	if columnsOf(to) == 0 || inBackground(to) {
		return func() {}
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		began := time.Now()
		pace := time.NewTicker(progressPace)
		defer pace.Stop()
		for shown := false; ; {
			select {
			case <-pace.C:
				line := what + "…"
				if status, err := statusBy(control, time.Now().Add(progressPace)); err == nil { // else it is on its way to another program
					line = workersLine(what, time.Since(began), status)
				}
				shown = true
				fmt.Fprint(to, "\r"+cut(line, columnsOf(to)-1)+"\x1b[K") // to the end of the line: ECMA-48, EL
			case <-over:
				if shown {
					fmt.Fprint(to, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// workersLine says how many workers are in which state, and what those that leave still
// have.
func workersLine(what string, elapsed time.Duration, s master.Status) string {
	draining, leaving := false, 0
	for _, w := range s.Workers {
		if w.State == "draining" {
			draining = true
			leaving += w.Connections + w.Queued
		}
	}
	line := fmt.Sprintf("%s, %v: workers %s", what, elapsed.Round(time.Second), workerStates(s.Workers))
	if draining {
		line += fmt.Sprintf("; %d connections still there", leaving)
	}
	return line
}

// workerStates says how many workers are in which state.
func workerStates(workers []master.WorkerStatus) string {
	states := make(map[string]int)
	for _, w := range workers {
		states[w.State]++
	}
	var parts []string
	for _, state := range []string{"ready", "starting", "gone", "draining"} {
		if n := states[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	return strings.Join(parts, ", ")
}

// cut returns the first characters of a text, as many as there is room for.
func cut(text string, room int) string {
	runes := []rune(text)
	return string(runes[:min(len(runes), max(0, room))])
}

// inBackground reports whether a terminal's foreground is other jobs.
func inBackground(terminal *os.File) bool {
	group, err := onDescriptor(terminal, func(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCGPGRP) })
	return err == nil && group != unix.Getpgrp()
}

// columnsOf returns how many characters a line of the terminal has; 0: it is none, or
// does not say.
func columnsOf(f *os.File) int {
	width, _ := onDescriptor(f, func(fd int) (int, error) {
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return 0, err
		}
		return int(size.Col), nil
	})
	return width
}

// onDescriptor calls f with the descriptor of a file, which stays as it is.
func onDescriptor(file *os.File, f func(fd int) (int, error)) (n int, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) { n, err = f(int(fd)) })
	return n, errors.Join(err, failed)
}
