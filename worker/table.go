package worker

// table holds the connections of a loop. A connection is named to epoll by a
// tag, which an event for a connection that is gone does not match:
//
//	63        32 31         0
//	 generation   index
//
// The first indices are those of what is no connection; their tags are the
// constants below.
type table struct {
	places []place
	free   []uint32 // indices of empty places
	live   int
}

type place struct {
	conn       *Conn
	generation uint32 // of the present connection, or of the next
}

const (
	tagQueue uint64 = iota
	tagWaker
	tagStreams
	reservedTags
)

func newTable() table { return table{places: make([]place, reservedTags)} }

// add gives c a place, and sets its index.
func (t *table) add(c *Conn) {
	if n := len(t.free); n > 0 {
		c.index, t.free = t.free[n-1], t.free[:n-1]
	} else {
		c.index = uint32(len(t.places))
		t.places = append(t.places, place{})
	}
	t.places[c.index].conn = c
	t.live++
}

func (t *table) remove(c *Conn) {
	p := &t.places[c.index]
	p.conn = nil
	p.generation++
	t.free = append(t.free, c.index)
	t.live--
}

func (t *table) tag(c *Conn) uint64 {
	return uint64(c.index) | uint64(t.places[c.index].generation)<<32
}

// lookup returns the connection with that tag, or nil: it is gone.
func (t *table) lookup(tag uint64) *Conn {
	index := uint32(tag)
	if int(index) >= len(t.places) || t.places[index].generation != uint32(tag>>32) {
		return nil
	}
	return t.places[index].conn
}

// each calls f for every connection. f may remove any of them, and must not add.
func (t *table) each(f func(c *Conn)) {
	for i := range t.places {
		if c := t.places[i].conn; c != nil {
			f(c)
		}
	}
}
