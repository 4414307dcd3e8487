package master

import (
	"errors"
	"fmt"
	"os"
)

// reopening is a reopening of the log file and the access log that is under way, on a
// goroutine of its own: a file system may not answer. All requests that come meanwhile
// cause one more. It belongs to the supervisor's goroutine, but for wait. With the zero
// value none is under way.
type reopening struct {
	over    chan struct{}       // closed when the one under way is; nil: none is
	clients []chan<- logsAnswer // who waits for what comes of it
	again   bool
	next    []chan<- logsAnswer // who waits for the one more
}

// logsAnswer is what was reopened.
type logsAnswer struct {
	LogFile   bool `json:"log_file"`
	AccessLog bool `json:"access_log"`
	err       error
}

var errNoLogs = errors.New("the log goes to standard error; there is no file to reopen, by --log-file or --access-log")

// reopenLogs begins to reopen the log file and the access log, if there are any. The
// channels of clients have room for the answer, which comes when nothing more is written to
// the old files.
func (s *supervisor) reopenLogs(clients ...chan<- logsAnswer) {
	reopen := s.config.ReopenLogs
	var logs []*accessLog
	for _, log := range s.access.open {
		if log.reopens() {
			logs = append(logs, log)
		}
	}
	switch {
	case reopen == nil && len(logs) == 0:
		for _, done := range clients {
			done <- logsAnswer{err: errNoLogs}
		}
	case s.reopening.over != nil:
		s.reopening.again, s.reopening.next = true, append(s.reopening.next, clients...)
	default:
		s.beginReopening(reopen, logs, clients)
	}
}

func (s *supervisor) beginReopening(reopen func() error, logs []*accessLog, clients []chan<- logsAnswer) {
	over := make(chan struct{})
	s.reopening = reopening{over: over, clients: clients}
	go func() {
		e := logsReopened{which: "access log", said: logsAnswer{LogFile: reopen != nil, AccessLog: len(logs) > 0}, files: make(map[*accessLog]*os.File)}
		if reopen != nil {
			if e.said.err = reopen(); e.said.err != nil {
				e.which = "log file"
			}
		}
		for _, log := range logs {
			file, err := openAccessFile(log.path)
			if err != nil {
				e.said.err = errors.Join(e.said.err, fmt.Errorf("access log: %w; the old one stays in use", err))
				continue
			}
			e.files[log] = file
		}
		close(over)
		if !s.inbox.Put(e) {
			e.drop()
		}
	}()
}

// logsReopened: the files are open.
type logsReopened struct {
	said  logsAnswer
	which string // of the logs could not be opened, if one could not: the log file, or else the access log
	files map[*accessLog]*os.File
}

// drop closes the files, which nobody has been given.
func (e logsReopened) drop() {
	for _, file := range e.files {
		_ = file.Close() // nothing was written to it
	}
}

func (s *supervisor) logsReopened(e logsReopened) {
	s.accessReopened(e.files)
	r := s.reopening
	s.reopening = reopening{}
	if e.said.err != nil && len(r.clients) == 0 {
		s.log.Error(e.which+" not reopened", "error", e.said.err)
	}
	if e.said.err == nil {
		s.log.Debug("logs reopened", "log_file", e.said.LogFile, "access_log", e.said.AccessLog)
	}
	for _, done := range r.clients {
		s.awaitAccess(done, e.said)
	}
	if r.again {
		s.reopenLogs(r.next...)
	}
}

// wait returns when the reopening under way is over, if there is one: what is logged
// after that is in the new file. It blocks for as long as Config.ReopenLogs does.
func (r reopening) wait() {
	if r.over != nil {
		<-r.over
	}
}
