package master

import (
	"slices"

	"github.com/hashicorp/go-hclog"
)

// eventLogger is a logger whose lines are events besides: those of a level or above,
// though the log itself may have a higher one.
type eventLogger struct {
	hclog.Logger
	events *eventLog
	least  hclog.Level
	args   []any // of With
}

// logger returns a logger that writes to another one, and makes an event of each line
// of a level or above.
func (l *eventLog) logger(to hclog.Logger, least hclog.Level) hclog.Logger {
	return &eventLogger{Logger: to, events: l, least: least}
}

func (l *eventLogger) Trace(message string, args ...any) { l.Log(hclog.Trace, message, args...) }
func (l *eventLogger) Debug(message string, args ...any) { l.Log(hclog.Debug, message, args...) }
func (l *eventLogger) Info(message string, args ...any)  { l.Log(hclog.Info, message, args...) }
func (l *eventLogger) Warn(message string, args ...any)  { l.Log(hclog.Warn, message, args...) }
func (l *eventLogger) Error(message string, args ...any) { l.Log(hclog.Error, message, args...) }

// Log logs a line, and makes its event.
func (l *eventLogger) Log(level hclog.Level, message string, args ...any) {
	if level >= l.least {
		l.events.add(level, message, slices.Concat(l.args, args))
	}
	l.Logger.Log(level, message, args...)
}

// With returns a logger whose lines have these arguments too.
func (l *eventLogger) With(args ...any) hclog.Logger {
	return &eventLogger{l.Logger.With(args...), l.events, l.least, slices.Concat(l.args, args)}
}

// Named and ResetNamed return a logger with another name, which events do not have.
func (l *eventLogger) Named(name string) hclog.Logger {
	return &eventLogger{l.Logger.Named(name), l.events, l.least, l.args}
}

func (l *eventLogger) ResetNamed(name string) hclog.Logger {
	return &eventLogger{l.Logger.ResetNamed(name), l.events, l.least, l.args}
}
