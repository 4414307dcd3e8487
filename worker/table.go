package worker

import (
	"math"
	"time"
)

// table holds the connections of a loop, and belongs to its goroutine. epoll knows a
// connection by its tag, and a late event's tag matches no connection that has come since:
//
//	63                      32 31         0
//	 the low half of its id      index
//
// An index is used again, and an id is not: two connections of one index with the same
// half of an id are 2³² connections apart. The first indices are reserved for what is no
// connection; their tags are the constants below.
//
// A cell is a pointer and a time, and cells come by the page, so that an idle connection
// costs twelve bytes here and the table leaves nothing behind when it grows.
type table struct {
	pages []*page
	size  uint32   // cells, empty and reserved ones included
	free  []uint32 // indices of empty cells
	live  int      // connections
}

// page is the cells of some indices that follow each other.
type page struct {
	conns [pageCells]*Conn
	since [pageCells]since
}

const pageCells = 1024

// since is when a connection was accepted, by the clock of envelopes (ipc.Clock), in tenths
// of a second: it lasts for 13 years from the machine's start. 0: not known.
type since uint32

const sinceUnit = 100 * time.Millisecond

func sinceOf(accepted time.Duration) since {
	if accepted < 0 || accepted/sinceUnit > math.MaxUint32 {
		return 0
	}
	return since(accepted / sinceUnit)
}

// accepted returns it as an envelope has it.
func (s since) accepted() time.Duration { return time.Duration(s) * sinceUnit }

const (
	tagQueue uint64 = iota
	tagWaker
	tagStreams
	reservedTags
)

func newTable() table {
	return table{pages: []*page{new(page)}, size: uint32(reservedTags)}
}

// cell returns where the connection of an index below size stands; it holds nil if there
// is none.
func (t *table) cell(index uint32) **Conn { return &t.pages[index/pageCells].conns[index%pageCells] }

// since returns where it stands when the connection of an index below size was accepted.
func (t *table) since(index uint32) *since { return &t.pages[index/pageCells].since[index%pageCells] }

// add gives c a cell, and sets its index.
func (t *table) add(c *Conn) {
	if n := len(t.free); n > 0 {
		c.index, t.free = t.free[n-1], t.free[:n-1]
	} else {
		c.index = t.size
		t.size++
		if int(c.index/pageCells) == len(t.pages) {
			t.pages = append(t.pages, new(page))
		}
	}
	*t.cell(c.index), *t.since(c.index) = c, 0
	t.live++
}

// remove empties c's cell. Its tag matches nothing from then on.
func (t *table) remove(c *Conn) {
	*t.cell(c.index) = nil
	t.free = append(t.free, c.index)
	t.live--
}

func (t *table) tag(c *Conn) uint64 { return uint64(c.index) | c.id<<32 }

// lookup returns the connection with that tag; nil: it is gone.
func (t *table) lookup(tag uint64) *Conn {
	index := uint32(tag)
	if index >= t.size {
		return nil
	}
	if c := *t.cell(index); c != nil && uint32(c.id) == uint32(tag>>32) {
		return c
	}
	return nil
}

// at returns the connection of an index below size, or nil.
func (t *table) at(index uint32) *Conn { return *t.cell(index) }

// each calls f for every connection. f may remove any of them, and must not add.
func (t *table) each(f func(c *Conn)) {
	for index := range t.size {
		if c := t.at(index); c != nil {
			f(c)
		}
	}
}
