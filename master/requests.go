package master

// What the clients of the control socket ask of the supervisor: each request is a
// value, which its goroutine acts on in handle. A channel in one has room for the
// answer, so that nobody waits for a client; see api.
type (
	measureRequest struct{ answer chan<- measures }
	logsRequest    struct{ answer chan<- logsAnswer }

	// Others are in the files of what they are about: inForceRequest, logLevelRequest.
	workersRequest struct{ answer chan<- []askable }

	// scaleRequest is answered by scaling when the workers are there.
	scaleRequest struct {
		scaling *scaling
		by, to  *int32 // one of them is not nil
	}
	scaleDropped struct{ scaling *scaling } // its client is gone

	// A *moveRequest is one, too.
	moveDropped struct{ move *moveRequest } // its client is gone

	drainRequest struct { // answered as a scaleRequest is
		slot    int
		scaling *scaling
	}
	restartRequest struct {
		slot    int
		restart *restart
	}
	restartDropped struct{ restart *restart } // its client is gone

	reloadRequest  struct{ answer chan<- outcome }
	stopRequest    struct{ mode stopMode }
	upgradeRequest struct {
		client int         // a descriptor: the supervisor owns it from now on
		taken  chan<- bool // has room
	}
)

// request acts on one, and reports whether it was one.
func (s *supervisor) request(message any) bool {
	switch m := message.(type) {
	case measureRequest:
		m.answer <- s.measure()
	case logsRequest:
		s.reopenLogs(m.answer)
	case workersRequest:
		m.answer <- s.askables()
	case inForceRequest:
		m.answer <- s.inForce()
	case logLevelRequest:
		s.logLevel(m)
	case scaleRequest:
		to := s.target
		if m.by != nil {
			to += int(*m.by)
		} else {
			to = int(*m.to)
		}
		s.askScale(to, m.scaling)
	case scaleDropped:
		s.forgetScaling(m.scaling)
	case drainRequest:
		s.askDrain(m.slot, m.scaling)
	case restartRequest:
		s.askRestart(m.slot, m.restart)
	case restartDropped:
		s.forgetRestart(m.restart)
	case *moveRequest:
		s.move(m)
	case moveDropped:
		s.forgetMove(m.move)
	case reloadRequest:
		s.askReload(m.answer)
	case stopRequest:
		s.stop(m.mode)
	case upgradeRequest:
		s.askUpgrade(m.client)
		m.taken <- true
	default:
		return false
	}
	return true
}
