package worker

// stock has values of one type ready, each an object of its own for the garbage collector.
// They are made several at a time, so that those of connections, which may stay for days,
// lie side by side in memory. Made one by one they would lie among what requests and
// handshakes leave behind, and keep all of its pages in use: with TLS that was more than
// what a connection needs. The zero value is empty. It belongs to the loop's goroutine.
type stock[T any] struct{ ready []*T }

const (
	// stockShare is the part of what is in use that is made at a time: a sixteenth.
	stockShare = 16
	// stockMost bounds it.
	stockMost = 512
)

// take returns a new value. inUse is how many there are.
func (s *stock[T]) take(inUse int) *T {
	if len(s.ready) == 0 {
		for range min(max(inUse/stockShare, 1), stockMost) {
			s.ready = append(s.ready, new(T))
		}
	}
	last := len(s.ready) - 1
	v := s.ready[last]
	s.ready[last] = nil
	s.ready = s.ready[:last]
	return v
}
