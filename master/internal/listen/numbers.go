package listen

import (
	"fmt"
	"slices"

	"github.com/usher-go/usher/ipc"
)

// MaxTransports is how many different transports the listeners of a server may have at a
// time, without the plain ones: a number has one byte (ipc.Envelope).
const MaxTransports = 255

// Numbers says which number stands for each transport in the envelopes of connections: 1 to
// 255, or 0 for none. A transport keeps its number while a listener has it, and afterwards
// as long as can be, since connections that came with it may be on their way: only when all
// numbers are given does another transport get one of them, whose own has been without a
// listener for longest.
//
// The zero value has none. It belongs to one goroutine. An upgrade in place hands it over
// as it is, in JSON: the names of the fields are read by programs that are not written yet.
type Numbers struct {
	// Rows have the numbers from 1 to as many as there are: those of listeners first, and
	// then the others, the latest first.
	Rows []Numbered
}

// Numbered is a transport and its number.
type Numbered struct {
	Number    uint8
	Transport Transport
}

// Use takes note which transports listeners have from now on, and gives numbers to those
// that have none yet. An error says that there are too many: then nothing has changed.
func (n *Numbers) Use(transports []Transport) error {
	wanted := make(map[Transport]bool) // and not yet among used
	for _, t := range transports {
		wanted[t] = true
	}
	delete(wanted, Transport{})
	if len(wanted) > MaxTransports {
		return fmt.Errorf("%d different settings of TLS and PROXY, there may be %d at a time", len(wanted), MaxTransports)
	}
	var used, rest []Numbered
	for _, row := range n.Rows {
		if wanted[row.Transport] {
			used = append(used, row)
			delete(wanted, row.Transport)
		} else {
			rest = append(rest, row)
		}
	}
	for _, t := range transports {
		if !wanted[t] {
			continue
		}
		number, last := len(used)+len(rest)+1, len(rest)-1
		if number > MaxTransports {
			number, rest = int(rest[last].Number), rest[:last]
		}
		used = append(used, Numbered{uint8(number), t})
		delete(wanted, t)
	}
	n.Rows = append(used, rest...)
	return nil
}

// Of returns the number of a listener's transport, which has one since Use.
func (n *Numbers) Of(t Transport) uint8 {
	if t == (Transport{}) {
		return 0
	}
	for _, row := range n.Rows {
		if row.Transport == t {
			return row.Number
		}
	}
	panic(fmt.Sprintf("a listener's transport %+v has no number", t))
}

// Describe returns what a worker is told: all that a connection may come with, those in
// first before the others, and else in the order of Rows.
func (n *Numbers) Describe(first []Transport) (all []ipc.Transport) {
	var rest []ipc.Transport
	for _, row := range n.Rows {
		t := row.Transport
		described := ipc.Transport{Number: row.Number, TLS: t.TLS, Cert: t.Cert, Proxy: t.Proxy, Trust: t.Networks()}
		if slices.Contains(first, t) {
			all = append(all, described)
		} else {
			rest = append(rest, described)
		}
	}
	return append(all, rest...)
}

// Check refuses what cannot be.
func (n *Numbers) Check() error {
	numbers, transports := make(map[uint8]bool), map[Transport]bool{{}: true}
	for _, row := range n.Rows {
		if row.Number == 0 || int(row.Number) > len(n.Rows) || numbers[row.Number] || transports[row.Transport] {
			return fmt.Errorf("transport %+v has number %d of %d, or that is another's too", row.Transport, row.Number, len(n.Rows))
		}
		numbers[row.Number], transports[row.Transport] = true, true
	}
	return nil
}
