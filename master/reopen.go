package master

// reopening is a reopening of the log file that is under way, on a goroutine of its own:
// a file system may not answer. All requests that come meanwhile cause one more. It
// belongs to the supervisor's goroutine, but for wait. With the zero value none is under way.
type reopening struct {
	over  chan struct{} // closed when the one under way is; nil: none is
	again bool
}

// reopenLogs begins to reopen the log file, if there is one.
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

// wait returns when the reopening under way is over, if there is one: what is logged
// after that is in the new file. It blocks for as long as Config.ReopenLogs does.
func (r reopening) wait() {
	if r.over != nil {
		<-r.over
	}
}
