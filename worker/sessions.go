package worker

// sessions is the kind of a member all of whose connections are the loop's.
type sessions struct{ member *member }

func (sessions) start()    {}
func (sessions) look()     {}
func (sessions) cutShort() {}
func (sessions) end()      {}
func (sessions) close()    {}

// over is true once no accepted connection is left, nothing is in the queue, unless the
// deadline has come, and then no dialled connection is left either.
func (s sessions) over() (bool, error) {
	m := s.member
	switch {
	case m.loop.accepted() > 0:
		return false, nil
	case m.drain.step == stepCut:
		return m.loop.table.live == 0, nil
	case m.drain.mayReturn:
		return false, nil
	}
	empty, err := m.intake.take()
	return empty && m.loop.accepted() == 0 && m.loop.endDialled(), err
}
