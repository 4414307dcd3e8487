package master

import (
	"time"

	"github.com/usher-go/usher/master/internal/child"
	"github.com/usher-go/usher/master/internal/listen"
)

// This file is how the configuration of a reload is read and checked, on a goroutine of
// its own, before anything is started for it.

// reloadPlan is a configuration that was read and found possible.
type reloadPlan struct {
	config  Config
	sockets []listen.Resolved
	program *child.Program // owned; nil with an error
	access  *accessLog     // owned: that of config, if that was opened for it; nil: it was not
	err     error
}

// drop closes what the plan owns.
func (p *reloadPlan) drop() {
	if p.program != nil {
		p.program.Close()
		p.config.tls.wipe()
	}
	p.access.close()
}

// readLimit is how long reading the configuration may take: a file may be a FIFO,
// or on a file system that does not answer.
const readLimit = 10 * time.Second

// What the supervisor hears from the goroutine that reads a reload's configuration.
type (
	configRead    struct{ reload *reload } // looking up addresses is what is left
	reloadPlanned struct {
		reload *reload
		plan   reloadPlan
	}
)

func (e reloadPlanned) drop() { e.plan.drop() }

func (s *supervisor) reloadPlanned(e reloadPlanned) {
	if s.reload != e.reload {
		e.plan.drop() // nobody waited for it
		return
	}
	s.reading = nil
	s.reload.limit.Stop()
	s.startReload(e.plan)
}

// planReload reads and checks the configuration, finds the program and looks up the
// addresses. It calls read before the last of these. It may block.
func planReload(old *Config, read func()) reloadPlan {
	next := *old
	if old.Reread != nil {
		var err error
		if next, err = old.Reread(old); err != nil {
			return reloadPlan{err: err}
		}
	}
	next.Logger, next.Started, next.Reread, next.ReopenLogs = old.Logger, old.Started, old.Reread, old.ReopenLogs
	next.LogWriter = old.LogWriter
	next.defaultCapacity = old.defaultCapacity
	addresses, err := next.check()
	if err == nil {
		err = old.allows(&next)
	}
	if err == nil {
		err = next.loadTLS(time.Now())
	}
	if err != nil {
		return reloadPlan{err: next.locate(err)}
	}
	worker, err := openProgram(&next)
	if err != nil {
		next.tls.wipe()
		return reloadPlan{err: err}
	}
	if err := next.openAccessLog(old.access); err != nil {
		worker.Close()
		next.tls.wipe()
		return reloadPlan{err: next.locate(err)}
	}
	read()
	sockets, err := listen.Resolve(addresses, old.addresses())
	p := reloadPlan{config: next, sockets: sockets, program: worker, err: err}
	if next.access != old.access {
		p.access = next.access
	}
	return p
}
