package master

import (
	"net/http"

	"github.com/hashicorp/go-hclog"
)

// InForce is the answer of GET /v1/config: the configuration of the generation that serves.
type InForce struct {
	Generation int       `json:"generation"`
	Settings   []Setting `json:"settings"` // Config.Settings of that generation
}

// Setting is one thing that is set, and where that is from.
type Setting struct {
	Key string `json:"key"` // as in a configuration file
	// Value is a string, a number, true or false, or a list of strings, as in a
	// configuration file.
	Value any `json:"value"`
	// Source is FromDefault or another of these; Where, of what was not typed, says more: a
	// variable, or a file and its line.
	Source string `json:"source"`
	Where  string `json:"where,omitempty"`
	// Configured is the value that was changed; nil: none was.
	Configured any `json:"configured,omitempty"`
}

// The sources of a Setting.
const (
	FromDefault     = "default"
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	// FromChange: by scaling, or for the log level, since the start or the last reload.
	FromChange = "change"
)

// The keys of the settings that can be changed without a reload.
const (
	keyWorkers  = "workers"
	keyLogLevel = "log-level"
)

type inForceRequest struct{ answer chan<- InForce }

// inForce returns what is in force. On the supervisor's goroutine.
func (s *supervisor) inForce() InForce {
	now := InForce{Generation: s.generation, Settings: make([]Setting, 0, len(s.config.Settings))}
	for _, set := range s.config.Settings {
		switch {
		case set.Key == keyWorkers && s.target != s.config.Workers:
			set = set.changed(s.target)
		case set.Key == keyLogLevel && s.levels.master != hclog.NoLevel && s.levels.master != s.config.LogLevel:
			set = set.changed(s.levels.master.String())
		}
		now.Settings = append(now.Settings, set)
	}
	return now
}

// changed returns a setting with another value than the configuration's.
func (s Setting) changed(value any) Setting {
	return Setting{Key: s.Key, Value: value, Source: FromChange, Configured: s.Value}
}

func (a api) inForce(r *http.Request) (any, error) {
	answer := make(chan InForce, 1)
	a.supervisor.inbox.Put(inForceRequest{answer})
	return await(a, r, answer)
}
