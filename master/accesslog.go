package master

import (
	"fmt"
	"os"
	"time"

	"github.com/usher-go/usher/internal/logfile"
	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/master/internal/descriptor"
)

// accessLog is the access log of a configuration, with its file as it was opened last. The
// master writes nothing to it: workers do, who get a descriptor of the file. It belongs to
// the supervisor's goroutine, but for path and format, which do not change.
type accessLog struct {
	path, format string
	file         *os.File // owned
}

// The values of Config.AccessLogFormat.
const (
	AccessCombined = ipc.AccessCombined // as nginx and Apache httpd write it
	AccessJSON     = ipc.AccessJSON     // an object a line
)

// StandardOutput as Config.AccessLog is the master's standard output.
const StandardOutput = "-"

// checkAccessLog refuses a format that there is not.
func (c *Config) checkAccessLog() error {
	if c.AccessLogFormat != AccessCombined && c.AccessLogFormat != AccessJSON {
		return wrong("access-log-format", "is %q, want %s or %s", c.AccessLogFormat, AccessCombined, AccessJSON)
	}
	return nil
}

// openAccessLog opens the access log that a checked configuration names: before is that of
// the configuration in force, or nil, which it shares if nothing differs. It blocks for
// accessOpenLimit at most.
func (c *Config) openAccessLog(before *accessLog) error {
	c.access = nil
	switch {
	case c.AccessLog == "":
		return nil
	case before != nil && before.path == c.AccessLog && before.format == c.AccessLogFormat:
		c.access = before
		return nil
	}
	file, err := openAccessFile(c.AccessLog)
	if err != nil {
		return &ConfigError{Key: "access-log", Problem: "access-log: " + err.Error()}
	}
	c.access = &accessLog{path: c.AccessLog, format: c.AccessLogFormat, file: file}
	return nil
}

// CheckAccessLog returns the error that Run would, and each reload, of an access log that
// cannot be opened, as far as that can be told without making the file (logfile.Check). It
// wraps ErrConfig. It may block as long as a file system does.
func (c Config) CheckAccessLog() error {
	if c.AccessLog == "" || c.AccessLog == StandardOutput {
		return nil
	}
	if err := logfile.Check(c.AccessLog); err != nil {
		return &ConfigError{Key: "access-log", Problem: "access-log: " + err.Error()}
	}
	return nil
}

// accessOpenLimit is how long a file may take to open: a file system may not answer.
const accessOpenLimit = 5 * time.Second

// openAccessFile opens a file to append to. What comes later than the limit is closed.
func openAccessFile(path string) (*os.File, error) {
	if path == StandardOutput {
		return logfile.Duplicate(1, "standard output")
	}
	type opened struct {
		file *os.File
		err  error
	}
	result := make(chan opened)
	late := time.NewTimer(accessOpenLimit)
	defer late.Stop()
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		file, err := logfile.Open(path)
		select {
		case result <- opened{file, err}:
		case <-gone:
			_ = file.Close() // nobody has it
		}
	}()
	select {
	case o := <-result:
		return o.file, o.err
	case <-late.C:
		return nil, fmt.Errorf("%s is not open after %v; does its file system answer?", path, accessOpenLimit)
	}
}

// reopens reports whether it can be opened anew, as a file at a path can. nil cannot.
func (a *accessLog) reopens() bool { return a != nil && a.path != StandardOutput }

// fd returns the file's descriptor, borrowed; -1 of nil.
func (a *accessLog) fd() int {
	if a == nil {
		return -1
	}
	return descriptor.Of(a.file)
}

// formatName returns the format's name in messages; empty of nil.
func (a *accessLog) formatName() string {
	if a == nil {
		return ""
	}
	return a.format
}

func (a *accessLog) close() {
	if a != nil {
		_ = a.file.Close() // nothing was written by it
	}
}
