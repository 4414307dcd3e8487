package master_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/usher-go/usher/master"
	"github.com/usher-go/usher/worker"
)

// An embedder that is its own worker: started by hand it is the master, and started by
// that master it is a worker. Which of the two, its environment says. As main this is a
// whole program; a real one serves until a signal ends it, and not one client's visit.
func Example() {
	if worker.IsWorker() {
		worker.Main(worker.DataFunc(shout)) // does not return
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	err := master.Run(ctx, master.Config{
		Listen:       []string{"127.0.0.1:0"},
		Program:      []string{os.Args[0]}, // this program, as it is at its path by then
		Workers:      2,
		BootTimeout:  time.Minute, // a slow machine is no broken program
		DrainTimeout: 10 * time.Second,
		Started: func(status master.Status) { // must not block
			go func() {
				defer end()
				visit(status.Listeners[0].Address)
			}()
		},
	})
	fmt.Println("the master has ended, error:", err)
	// Output:
	// the worker answers: HELLO
	// the master has ended, error: <nil>
}

// shout is the worker's part: it answers whole lines in capitals.
func shout(c *worker.Conn, in []byte) (int, error) {
	n := bytes.LastIndexByte(in, '\n') + 1
	_, err := c.Write(bytes.ToUpper(in[:n]))
	return n, err
}

// visit is a client.
func visit(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute)) // it is open
	fmt.Fprintln(conn, "hello")
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print("the worker answers: ", answer)
}
