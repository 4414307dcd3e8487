package worker

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// accessSink is a file of an access log, from when lines are taken for it until it is closed.
//
//	waiting for its file ──► quiet ◄──► due (a timer runs) ──► writing (a goroutine does) ──► retired, closed
//	                           ▲                                   │
//	                           └───────────────────────────────────┘
//
// O_APPEND has each write(2) begin at the end of the file, in one step with it: lines of
// several workers do not mix in a regular file on a local file system, nor in a pipe up to
// PIPE_BUF bytes. It does not keep a write whole. On a disk that fills up, one worker writes
// half a line, and others append behind it once there is room. So whoever could not write
// begins anew with a line feed: the half line is then a line of its own, or an empty line is
// there. Only behind one that wrote nothing while the disk was full, a line may still be
// glued to a half one. The line that was cut is written once more, whole.
type accessSink struct {
	owner  *AccessLog
	format accessFormat
	stamp  atomic.Pointer[accessStamp] // of the second in which the last line was; any goroutine may use it
	closed chan struct{}               // closed when the file is, and the log knows

	mu      sync.Mutex // guards the following
	file    *os.File   // owned, and used by the goroutine alone; nil: it has not come
	regular bool       // takes as much as there is room for
	queue   []byte     // lines
	left    []byte     // lines before those of queue: they are being written, or could not be
	spare   []byte     // the memory of left, to be used again for queue
	timer   *time.Timer
	due     bool // the timer runs
	eager   bool // the goroutine is about to be there, without it
	writing bool // the goroutine is there
	retired bool // nothing more is taken
	givenUp bool // what waits is counted as dropped

	torn bool // the goroutine's: a line in the file may be there in part
}

const (
	maxAccessQueue = 1 << 20 // bytes that wait, or are being written
	// accessDelay is how long a line waits for others: a write(2) for each would cost more
	// than all else about it. Who is killed loses as much.
	accessDelay = 20 * time.Millisecond
	accessEager = 64 << 10    // bytes for which the delay is cut short
	accessRetry = time.Second // between tries to write to a full disk
	pipeWrite   = 4096        // bytes that a pipe takes whole or not at all (PIPE_BUF, pipe(7))
)

func newAccessSink(l *AccessLog, format accessFormat) *accessSink {
	return &accessSink{owner: l, format: format, closed: make(chan struct{})}
}

// attach gives the sink its file, and the ownership of it, and reports true. It is false,
// and nothing has changed, if the sink has one, or takes no more.
func (s *accessSink) attach(file *os.File) bool {
	info, err := file.Stat()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil || s.retired {
		return false
	}
	s.file, s.regular = file, err == nil && info.Mode().IsRegular()
	s.schedule(accessDelay)
	return true
}

// line appends the line of a request to b.
func (s *accessSink) line(b []byte, a *Access) []byte {
	return appendAccess(b, a, s.format, s.stampOf(a.Time))
}

// put adds lines, of which it keeps nothing, or drops them. It is false, and nothing has
// been done, if the sink is retired.
func (s *accessSink) put(lines []byte) bool {
	s.mu.Lock()
	if s.retired {
		s.mu.Unlock()
		return false
	}
	if len(s.left)+len(s.queue)+len(lines) > maxAccessQueue {
		s.mu.Unlock()
		s.owner.drop(lines, errAccessFull)
		return true
	}
	s.queue = append(s.queue, lines...)
	s.schedule(accessDelay)
	s.mu.Unlock()
	return true
}

// schedule has what waits be written, after a delay unless it is much. The lock is held.
func (s *accessSink) schedule(delay time.Duration) {
	much := len(s.queue) >= accessEager && len(s.left) == 0 // left, while nothing is writing: the last try has failed
	if s.file == nil || s.writing || s.due && (s.eager || !much) || len(s.left)+len(s.queue) == 0 {
		return
	}
	s.due, s.eager = true, much
	switch {
	case much:
		go s.run() // a loop that is busy does not look at its timers
	case s.timer == nil:
		s.timer = time.AfterFunc(delay, s.run)
	default:
		s.timer.Reset(delay)
	}
}

// retire takes no more lines, writes those that wait, until the deadline, and closes the
// file: on another goroutine, which then calls the log's retired.
func (s *accessSink) retire(deadline time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = true
	if s.file != nil {
		_ = s.file.SetWriteDeadline(deadline) // what has none is a file or a terminal: a write that stands still there cannot be ended
	}
	if s.timer != nil {
		s.timer.Stop()
	}
	if !s.writing {
		go s.run()
	}
}

// waiting returns a copy of the lines that are not written, unless they were given up: to
// give them up says that somebody has counted them.
func (s *accessSink) waiting(giveUp bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.givenUp {
		return nil
	}
	s.givenUp = giveUp
	return append(bytes.Clone(s.left), s.queue...)
}

// run is the goroutine: it writes what waits. It leaves soon, if lines come slowly, and as
// soon as an error shows that to go on is of no use now.
func (s *accessSink) run() {
	s.mu.Lock()
	if s.writing {
		s.mu.Unlock()
		return
	}
	s.due, s.writing = false, true
	var err error
	for err == nil && s.file != nil && s.next() {
		left := s.left
		s.mu.Unlock()
		var n int
		n, err = s.write(left)
		s.mu.Lock()
		if s.left = s.left[n:]; err == nil && !s.retired && len(s.queue) < accessEager {
			break
		}
	}
	if s.retired { // writing stays true: a timer that has run out meanwhile finds nothing to do
		s.mu.Unlock()
		s.close(err)
		return
	}
	s.writing = false
	lost := s.rest(err)
	s.mu.Unlock()
	switch {
	case len(lost) > 0:
		s.owner.drop(lost, err)
	case err != nil:
		s.owner.failing(err)
	}
}

// next has left be what is to be written next, and reports whether there is any. The lock
// is held.
func (s *accessSink) next() bool {
	if len(s.left) == 0 {
		s.left, s.queue, s.spare = s.queue, s.spare[:0], s.queue[:0]
	}
	return len(s.left) > 0
}

// rest schedules the next writing, after one that ended with err, and returns the lines that
// err says are lost. The lock is held.
func (s *accessSink) rest(err error) (lost []byte) {
	const kept = 256 << 10 // of the memory of a burst
	if cap(s.queue)+cap(s.spare) > kept && len(s.left)+len(s.queue) == 0 {
		s.left, s.queue, s.spare = nil, nil, nil
	}
	switch {
	case err == nil:
		s.schedule(accessDelay)
	case waitsForRoom(err):
		s.schedule(accessRetry)
	default:
		lost, s.left = bytes.Clone(s.left), nil
		s.schedule(accessDelay)
	}
	return lost
}

// waitsForRoom reports whether lines are worth keeping: there may be room for them later.
// EAGAIN comes from a pipe or terminal that somebody who shares it has made non-blocking.
func waitsForRoom(err error) bool {
	for _, full := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EAGAIN} {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// close ends a sink that is retired, on its goroutine. err is why it could not write all.
func (s *accessSink) close(err error) {
	if err == nil || errors.Is(err, fs.ErrClosed) {
		err = errAccessGone
	}
	if s.file != nil {
		_ = s.file.Close() // its lines are written, or told of as lost
	}
	s.owner.retired(s, s.waiting(false), err)
	close(s.closed)
}

// write writes lines, and returns how many bytes of whole ones are in the file. It blocks
// for as long as a disk takes; for a pipe that is non-blocking, until somebody reads it.
func (s *accessSink) write(lines []byte) (written int, err error) {
	if s.torn {
		if _, err := s.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		s.torn = false
	}
	for written < len(lines) {
		piece := lines[written:]
		if !s.regular && len(piece) > pipeWrite {
			piece = piece[:bytes.LastIndexByte(piece[:pipeWrite], '\n')+1] // none is longer: maxAccessLine
		}
		n, err := s.file.Write(piece)
		if err != nil {
			s.torn = s.regular || n > 0
			n = bytes.LastIndexByte(piece[:n], '\n') + 1
			return written + n, err
		}
		written += n
	}
	return written, nil
}

func countLines(b []byte) int { return bytes.Count(b, []byte{'\n'}) }
