package master

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
)

// LogLevels is the answer of /v1/log-level.
type LogLevels struct {
	Level      string        `json:"level"`      // of the master's log
	Configured string        `json:"configured"` // what it would be if nobody had asked for another
	Workers    []WorkerLevel `json:"workers"`
	Unanswered []Unanswered  `json:"unanswered,omitempty"` // workers that did not say
}

// WorkerLevel is the level of a worker's own logger. In the master's log its warnings and
// errors have their level, and all else that it says is info.
type WorkerLevel struct {
	Worker int    `json:"worker"` // its slot
	PID    int    `json:"pid"`
	Level  string `json:"level"`
}

// levels are what has been asked for, in the place of what is configured, until a reload
// changes that. They belong to the supervisor's goroutine.
type levels struct {
	first   hclog.Level // the logger's at the start
	master  hclog.Level // NoLevel: nobody has asked for another
	workers string      // of those that begin from now on, too; empty: each has its own
}

// ofMaster returns the level that was asked for of the master; empty: none was.
func (l *levels) ofMaster() string {
	if l.master == hclog.NoLevel {
		return ""
	}
	return l.master.String()
}

// levelLimit is how long workers have to answer.
const levelLimit = time.Second

// logLevelRequest asks which levels there are, having set those that are not empty: to one
// of ipc.LogLevels, or ipc.LevelDefault.
type logLevelRequest struct {
	master, workers string
	answer          chan<- levelAnswer
}

type levelAnswer struct {
	level, configured string
	workers           []askable
}

// logLevel acts on a request.
func (s *supervisor) logLevel(r logLevelRequest) {
	if r.master != "" {
		s.setLevel(hclog.LevelFromString(r.master)) // NoLevel for the default
	}
	switch r.workers {
	case "":
	case ipc.LevelDefault:
		s.levels.workers = ""
	default:
		s.levels.workers = r.workers
	}
	r.answer <- levelAnswer{s.log.GetLevel().String(), s.configuredLevel().String(), s.askables()}
}

// setLevel sets the level of the master's log; NoLevel is the configured one.
func (s *supervisor) setLevel(level hclog.Level) {
	s.levels.master = level
	if level == hclog.NoLevel {
		level = s.configuredLevel()
	}
	if level != s.log.GetLevel() {
		s.log.SetLevel(level)
		s.log.Info("log level changed", "level", level)
	}
}

// configuredLevel returns the level of the configuration in force.
func (s *supervisor) configuredLevel() hclog.Level {
	if s.config.LogLevel != hclog.NoLevel {
		return s.config.LogLevel
	}
	return s.levels.first
}

// levelReloaded is called when a configuration is in force that may have another level than
// the one before: that ends what was asked for.
func (s *supervisor) levelReloaded(before hclog.Level) {
	if s.config.LogLevel == hclog.NoLevel || s.config.LogLevel == before {
		return
	}
	s.log.SetLevel(s.config.LogLevel)
	s.levels.master = hclog.NoLevel
	if s.levels.workers != "" {
		s.levels.workers = ""
		for _, w := range s.askables() {
			w.tellLevel(ipc.LevelDefault)
		}
	}
}

// levelReady is called when a slot's worker is ready: it may be told of a level now.
func (s *supervisor) levelReady(slot *slot) {
	if s.levels.workers != "" {
		w := askable{ready: true, asks: slot.ready.Asks, process: slot.process}
		w.tellLevel(s.levels.workers)
	}
}

// tellLevel asks a worker for a level, and waits neither for the answer nor for anything
// else: a worker that does not have it is seen when somebody asks. On the supervisor's
// goroutine, so that workers are told in the order of what they are told.
func (w askable) tellLevel(level string) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, _, _ = w.ask(ctx, ipc.LogLevel{Level: level}, levelLimit) // canceled, once it is sent
}

// getLogLevel is GET /v1/log-level.
func (a api) getLogLevel(r *http.Request) (any, error) {
	return a.askLevels(r, logLevelRequest{}, func(w *askable) string { return "" })
}

// setLogLevel is POST /v1/log-level.
func (a api) setLogLevel(r *http.Request) (any, error) {
	var request struct {
		Level  string
		Worker *int
		Master bool
	}
	if err := read(r, &request); err != nil {
		return nil, err
	}
	if choices := append(ipc.LogLevels(), ipc.LevelDefault); !slices.Contains(choices, request.Level) {
		return nil, fmt.Errorf("%w: level %q, want one of %s", errRequest, request.Level, strings.Join(choices, ", "))
	}
	set := logLevelRequest{}
	switch {
	case request.Worker != nil && (request.Master || *request.Worker < 0):
		return nil, fmt.Errorf("%w: want worker, a slot, or master, or neither for all", errRequest)
	case request.Master:
		set.master = request.Level
	case request.Worker == nil:
		set.master, set.workers = request.Level, request.Level
	default: // it alone, as long as it lives
		workers, err := a.workers(r)
		if err != nil {
			return nil, err
		}
		if _, err := findWorker(workers, *request.Worker); err != nil {
			return nil, err
		}
	}
	return a.askLevels(r, set, func(w *askable) string {
		if set.workers != "" || request.Worker != nil && *request.Worker == w.slot {
			return request.Level
		}
		return ""
	})
}

// askLevels has the supervisor set what is to be set, and each worker the level that
// levelOf returns, where it is not empty.
func (a api) askLevels(r *http.Request, set logLevelRequest, levelOf func(w *askable) string) (any, error) {
	answer := make(chan levelAnswer, 1)
	set.answer = answer
	a.supervisor.inbox.Put(set)
	now, err := await(a, r, answer)
	if err != nil {
		return nil, err
	}
	said, errs := make([]string, len(now.workers)), make([]error, len(now.workers))
	var asked sync.WaitGroup
	for i := range now.workers {
		asked.Go(func() {
			w := &now.workers[i]
			var m ipc.Message
			if m, _, _, errs[i] = w.ask(r.Context(), ipc.LogLevel{Level: levelOf(w)}, levelLimit); errs[i] == nil {
				said[i] = m.(ipc.Answer).Level // it is checked
			}
		})
	}
	asked.Wait()
	all := LogLevels{Level: now.level, Configured: now.configured, Workers: []WorkerLevel{}}
	for i, w := range now.workers {
		if errs[i] != nil {
			all.Unanswered = append(all.Unanswered, w.unanswered(errs[i]))
			continue
		}
		all.Workers = append(all.Workers, WorkerLevel{w.slot, w.pid, said[i]})
	}
	return all, r.Context().Err()
}
