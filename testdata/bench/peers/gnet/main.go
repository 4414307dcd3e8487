// An echo server of gnet, one event loop for each P.
//
//	gnet PORT
package main

import (
	"log"
	"os"

	"github.com/panjf2000/gnet/v2"
	"github.com/panjf2000/gnet/v2/pkg/logging"
)

type server struct{ gnet.BuiltinEventEngine }

func (server) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Next(-1)
	if err != nil {
		return gnet.Close
	}
	if _, err := c.Write(in); err != nil {
		return gnet.Close
	}
	return gnet.None
}

func main() {
	log.Fatal(gnet.Run(&server{}, "tcp://127.0.0.1:"+os.Args[1], gnet.WithMulticore(true), gnet.WithReusePort(true), gnet.WithLogLevel(logging.ErrorLevel)))
}
