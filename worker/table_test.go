package worker

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The tag of a connection that is gone finds nothing, whoever has its place.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := newTable()
		live := make(map[uint64]*Conn)
		var gone []uint64
		id := rapid.Uint64Range(1, math.MaxUint64/2).Draw(t, "first id")
		for range pageCells - rapid.IntRange(0, 100).Draw(t, "before the second page") {
			id++
			c := &Conn{id: id}
			table.add(c)
			live[table.tag(c)] = c
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(live) == 0 || rapid.Bool().Draw(t, "add") {
				id++
				c := &Conn{id: id}
				table.add(c)
				live[table.tag(c)] = c
				continue
			}
			for tag, c := range live { // any of them
				table.remove(c)
				delete(live, tag)
				gone = append(gone, tag)
				break
			}
		}
		for tag, c := range live {
			if table.lookup(tag) != c {
				t.Fatalf("tag %x finds %p, not %p", tag, table.lookup(tag), c)
			}
		}
		for _, tag := range append(gone, tagQueue, tagWaker, 1<<20) {
			if c := table.lookup(tag); c != nil {
				t.Fatalf("tag %x, of none, finds %p", tag, c)
			}
		}
		visited := 0
		table.each(func(c *Conn) { visited++ })
		if visited != len(live) || table.live != len(live) {
			t.Fatalf("%d visited, %d counted, %d live", visited, table.live, len(live))
		}
	})
}
