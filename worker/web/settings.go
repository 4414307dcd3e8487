package web

import "log"

// settings are what the options say.
type settings struct {
	errorLog *log.Logger
}

// logf writes to the error log. It is for any goroutine.
func (s *settings) logf(format string, a ...any) {
	if s.errorLog != nil {
		s.errorLog.Printf(format, a...)
		return
	}
	log.Printf(format, a...)
}
