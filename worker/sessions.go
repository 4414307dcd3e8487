package worker

// sessions is the kind of a member all of whose connections are the loop's.
type sessions struct{ member *member }

func (sessions) start()    {}
func (sessions) look()     {}
func (sessions) cutShort() {}
func (sessions) end()      {}
func (sessions) close()    {}

// over wants every connection gone, and, unless the deadline has come, nothing left
// in the queue, and those dialled gone too.
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
