//go:build testdoors

package handover

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/usher-go/usher/ipc"
	"github.com/usher-go/usher/worker"
)

// cipher is what a session makes of byte b at a position: nothing else would be
// answered by one that was served twice, begun again, or is short of a byte.
func cipher(id uint64, position int, b byte) byte {
	return b ^ byte(position*131+position>>8+int(id)*7)
}

// verbose is how many bytes answer each byte: more than a client reads in time.
const verbose = 5

// scribe is the session, and the handler; it takes two bytes at a time, so that one is often left.
type scribe struct {
	world    *world
	slot     int
	c        *worker.Conn
	position int
}

func (s *scribe) Open(c *worker.Conn) (worker.Session, error) {
	return &scribe{world: s.world, slot: s.slot, c: c}, nil
}

func (s *scribe) Data(c *worker.Conn, in []byte) (int, error) {
	return s.write(in[:len(in)&^1])
}

func (s *scribe) EOF(c *worker.Conn, rest []byte) error {
	_, err := s.write(rest)
	if err == nil {
		err = c.Close()
	}
	return err
}

func (s *scribe) write(in []byte) (int, error) {
	out := make([]byte, 0, verbose*len(in))
	for _, b := range in {
		for range verbose {
			out = append(out, cipher(s.c.ID(), s.position, b))
			s.position++
		}
	}
	_, err := s.c.Write(out)
	return len(in), err
}

// MarshalBinary has every third travel in a memfd.
func (s *scribe) MarshalBinary() ([]byte, error) {
	state := binary.LittleEndian.AppendUint64(nil, uint64(s.position))
	if s.c.ID()%3 == 0 {
		state = append(state, bytes.Repeat([]byte{byte(s.c.ID())}, ipc.MaxState+s.position)...)
	}
	return state, nil
}

func (s *scribe) UnmarshalBinary(b []byte) error {
	if s.world.workers[s.slot].fails {
		s.world.doom(s.c.ID())
		return errors.New("as the story has it")
	}
	s.position = int(binary.LittleEndian.Uint64(b))
	if again, err := s.MarshalBinary(); err != nil || !bytes.Equal(again, b) {
		return fmt.Errorf("the state of %d bytes is not what was marshalled: %v", len(b), err)
	}
	return nil
}
