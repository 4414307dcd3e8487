// A worker of usher that echoes. SIGUSR2 has it collect its garbage.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/usher-go/usher/worker"
)

func main() {
	collect := make(chan os.Signal, 1)
	signal.Notify(collect, syscall.SIGUSR2)
	go func() {
		for range collect {
			debug.FreeOSMemory()
		}
	}()
	worker.Main(worker.DataFunc(func(c *worker.Conn, in []byte) (int, error) { return c.Write(in) }))
}
