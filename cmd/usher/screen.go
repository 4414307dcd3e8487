package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// screen draws the status in place: on the terminal's other screen, from which the
// first comes back in the end. The sequences are those of xterm, which terminals of today
// have. It belongs to one goroutine.
//
// It draws a line over what the line was, and clears behind it, in one write: what stays the
// same is never seen to be gone. No line is as wide as the terminal, and none wraps.
type screen struct {
	terminal *os.File
	lines    []string // that it shows
	note     string   // above them; empty: nothing
	entered  bool
}

const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the other one; no cursor; wide characters do not wrap either
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// drawable reports whether a file is a terminal that one can draw on.
func drawable(to *os.File) bool {
	_, err := onDescriptor(to, func(fd int) (int, error) {
		_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		return 0, err
	})
	return err == nil && os.Getenv("TERM") != "dumb"
}

func (s *screen) show(a answer, r rates) error {
	s.lines, s.note = watchLines(a.status, r), ""
	return s.draw()
}

func (s *screen) silence(elapsed time.Duration, why error) error {
	s.note = silenceLine(elapsed, why)
	return s.draw()
}

func (s *screen) redraw() error  { return s.draw() }
func (s *screen) suspend() error { return s.leave() }

// draw does nothing in the background, where the screen is somebody else's.
func (s *screen) draw() error {
	if inBackground(s.terminal) {
		return nil
	}
	lines := s.lines
	if s.note != "" {
		lines = append([]string{s.note}, lines...)
	}
	text := frame(lines, columnsOf(s.terminal), rowsOf(s.terminal))
	if !s.entered {
		text = enterScreen + text
	}
	s.entered = true
	_, err := s.terminal.WriteString(text)
	return err
}

// leave brings the first screen back.
func (s *screen) leave() error {
	if !s.entered {
		return nil
	}
	s.entered = false
	_, err := s.terminal.WriteString(leaveScreen)
	return err
}

// end leaves the last status on the first screen.
func (s *screen) end(farewell string) error {
	if inBackground(s.terminal) {
		return nil
	}
	if err := s.leave(); err != nil {
		return err
	}
	lines := s.lines
	if farewell != "" {
		lines = append(lines, farewell)
	}
	columns, _ := sizeOr(columnsOf(s.terminal), 0)
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(cut(printable(line), columns-1) + "\r\n")
	}
	_, err := s.terminal.WriteString(b.String())
	return err
}

// frame is what draws lines on a screen, as many as there is room for: from its first place
// (ECMA-48, CUP), each with the rest of its line cleared (EL), and with the rest of the
// screen (ED). What is typed meanwhile is shown in the first place, and drawn over.
func frame(lines []string, columns, rows int) string {
	columns, rows = sizeOr(columns, rows)
	if more := len(lines) - rows; more > 0 {
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("… %d lines more", more+1))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(printable(line), columns-1) + "\x1b[K")
	}
	b.WriteString("\x1b[J\x1b[H")
	return b.String()
}

// sizeOr returns the size of a terminal; of one that does not say, the usual.
func sizeOr(columns, rows int) (int, int) {
	if columns <= 0 {
		columns = plainWidth
	}
	if rows <= 0 {
		rows = 24
	}
	return columns, rows
}

// rowsOf returns how many lines the terminal has; 0: it does not say.
func rowsOf(f *os.File) int {
	rows, _ := onDescriptor(f, func(fd int) (int, error) { // an error is 0, too
		size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
		if err != nil {
			return 0, err
		}
		return int(size.Row), nil
	})
	return rows
}
