package ipc_test

import (
	"fmt"
	"log"
	"net/netip"
	"os"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/ipc"
)

// A master's end and a worker's end of one queue, for once in one process.
func ExamplePacketConn() {
	master, worker, err := fdpass.Pair()
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{master, worker})
	client, accepted, err := fdpass.Pair() // in place of a connection
	if err != nil {
		log.Fatal(err)
	}
	defer fdpass.CloseAll([]int{client})

	var packets ipc.PacketConn
	var packet ipc.Packet
	packet.Add(&ipc.Envelope{
		ID:       1,
		Remote:   netip.MustParseAddrPort("192.0.2.1:40000"),
		Local:    netip.MustParseAddrPort("0.0.0.0:80"),
		Listener: "web",
	}, accepted) // the packet owns it now
	if err := packets.Send(master, &packet); err != nil {
		log.Fatal(err)
	}

	if err := packets.Receive(worker, &packet); err != nil {
		log.Fatal(err)
	}
	for i := range packet.Len() {
		var e ipc.Envelope
		if err := packet.Decode(i, &e); err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.ID, e.Remote, e.Listener)
		fd := packet.Take(i) // owned from here on
		fdpass.CloseAll([]int{fd})
	}
	// Output: 1 192.0.2.1:40000 web
}

// A router passes connections on without looking inside.
func ExamplePacket_AddFrom() {
	var from, to ipc.Packet
	from.Add(&ipc.Envelope{ID: 7, State: []byte("frozen")}, -1)
	for i := range from.Len() {
		if !to.AddFrom(&from, i) {
			break // full: send it first
		}
		from.Forget(i) // once the send has taken it
	}
	fmt.Println(to.Len(), to.ID(0))
	// Output: 1 7
}

func ExampleEncodeMessage() {
	b, err := ipc.EncodeMessage(ipc.Ready{Protocol: ipc.Version, Capacity: 1000})
	fmt.Printf("%s %v\n", b, err)
	// Output: {"type":"ready","protocol":1,"capacity":1000} <nil>
}

func ExampleParseMessage() {
	for _, packet := range []string{
		`{"type":"drain","mode":"finish","deadline_ms":30000}`,
		`{"type":"sing"}`,
		`{}`,
	} {
		message, err := ipc.ParseMessage([]byte(packet))
		switch m := message.(type) {
		case ipc.Drain:
			fmt.Println("drain:", m.Mode)
		case ipc.Unknown:
			fmt.Println("ignored:", m.Type)
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// drain: finish
	// ignored: sing
	// ipc: parse message: malformed: no type
}

func ExampleScoreboard() {
	board, err := ipc.NewScoreboard(2) // in the master
	if err != nil {
		log.Fatal(err)
	}
	defer board.Close()

	entry := board.Entry(1)
	entry.Received.Add(3)
	entry.WantBell.Store(1) // the master waits for room
	fmt.Println("ring the bell:", entry.AddClosed(2))
	fmt.Println("open:", entry.Received.Load()-entry.Closed.Load())
	// Output:
	// ring the bell: true
	// open: 1
}

func ExampleOpenScoreboard() {
	board, err := ipc.OpenScoreboard(ipc.ScoreboardFD) // in a worker
	if err != nil {
		log.Fatal(err)
	}
	defer board.Close()
	identity, _, err := ipc.IdentityFromEnviron(os.Environ())
	if err != nil || identity.Slot >= board.Len() {
		log.Fatal("no identity")
	}
	board.Entry(identity.Slot).Received.Add(1)
}

func ExampleEnviron() {
	environ := ipc.Environ([]string{"PATH=/bin", "USHER_LISTEN=:80"}, ipc.Identity{Protocol: ipc.Version, Slot: 2, Generation: 1})
	fmt.Println(environ)
	// Output: [PATH=/bin USHER_PROTOCOL=1 USHER_SLOT=2 USHER_GENERATION=1]
}

func ExampleIdentityFromEnviron() {
	identity, ok, err := ipc.IdentityFromEnviron([]string{"USHER_PROTOCOL=1", "USHER_SLOT=2", "USHER_GENERATION=1"})
	fmt.Println(identity.Slot, ok, err)
	_, ok, err = ipc.IdentityFromEnviron(nil) // started by hand
	fmt.Println(ok, err)
	// Output:
	// 2 true <nil>
	// false <nil>
}
