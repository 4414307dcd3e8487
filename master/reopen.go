package master

// reopening is the log file being opened anew, on a goroutine of its own: a file
// system may not answer. Any number of requests meanwhile are one more.
type reopening struct {
	over  chan struct{} // closed when the one under way is; nil: none is
	again bool
}

// reopenLogs begins to open the log file anew, if there is one.
func (s *supervisor) reopenLogs() {
	reopen := s.config.ReopenLogs
	switch {
	case reopen == nil:
		return
	case s.reopening.over != nil:
		s.reopening.again = true
		return
	}
	over := make(chan struct{})
	s.reopening = reopening{over: over}
	go func() {
		err := reopen()
		close(over)
		s.inbox.Put(logsReopened{err})
	}()
}

// logsReopened: Config.ReopenLogs has returned.
type logsReopened struct{ err error }

func (s *supervisor) logsReopened(e logsReopened) {
	if e.err != nil {
		s.log.Error("log file not reopened", "error", e.err)
	}
	again := s.reopening.again
	s.reopening = reopening{}
	if again {
		s.reopenLogs()
	}
}

// wait returns when the reopening under way is over, if one is: what is logged then
// is in the new file. It blocks for as long as Config.ReopenLogs may.
func (r reopening) wait() {
	if r.over != nil {
		<-r.over
	}
}
