// An echo server of CloudWeGo's netpoll.
//
//	netpoll PORT
package main

import (
	"context"
	"log"
	"os"

	"github.com/cloudwego/netpoll"
)

func main() {
	listener, err := netpoll.CreateListener("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	loop, err := netpoll.NewEventLoop(func(_ context.Context, c netpoll.Connection) error {
		in, err := c.Reader().Next(c.Reader().Len())
		if err != nil {
			return err
		}
		if _, err := c.Writer().WriteBinary(append([]byte(nil), in...)); err != nil {
			return err
		}
		if err := c.Reader().Release(); err != nil {
			return err
		}
		return c.Writer().Flush()
	})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(loop.Serve(listener))
}
