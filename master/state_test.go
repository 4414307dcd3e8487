package master

import "testing"

func TestState(t *testing.T) {
	legal := map[State]map[happening]State{
		StateGone:     {workerStarted: StateStarting},
		StateStarting: {workerReady: StateReady, workerDraining: StateDraining, workerExited: StateGone},
		StateReady:    {workerDraining: StateDraining, workerExited: StateGone},
		StateDraining: {workerExited: StateGone},
	}
	for s := StateGone; s <= StateDraining; s++ {
		for h := workerStarted; h <= workerExited; h++ {
			want, wantOK := legal[s][h]
			if !wantOK {
				want = s // and it stays
			}
			if got, ok := s.next(h); got != want || ok != wantOK {
				t.Errorf("%v.next(%v) = %v, %v; want %v, %v", s, h, got, ok, want, wantOK)
			}
		}
	}
}
