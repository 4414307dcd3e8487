package main

import (
	"fmt"
	"strconv"
)

// webIdle compares the memory that idle keep-alive connections take, each of which has
// made a request: after a collection, for which Go programs are asked by a signal, and as
// it is.
func (b *bench) webIdle() error {
	count := b.tlsCount()
	for _, kind := range []struct {
		name    string
		tls     bool
		aim     string
		servers []*server
	}{
		{"idle keep-alive connection", false, "≤ 170", []*server{webRunning, webNginx, webHTTP}},
		{"idle keep-alive TLS connection", true, "≤ 650", []*server{tlsWeb, tlsNginx, tlsHTTP}},
	} {
		for _, s := range kind.servers {
			if s.missing != "" {
				b.say("  %-40s %s", s.name, s.missing)
				continue
			}
			asIs, collected, err := b.idleEach(s, count)
			if err != nil {
				return err
			}
			if s == kind.servers[0] {
				b.reached(fmt.Sprintf("private memory of an %s, after a request, %d over %d workers, after a collection (bytes, master included)", kind.name, count, tlsWorkers),
					kind.aim, strconv.FormatInt(collected, 10))
			}
			b.grid.set(s.name, "bytes per "+kind.name, strconv.FormatInt(collected, 10))
			b.figure("memory of an %s, %d, %s: %d bytes after a collection where there is one, %d before", kind.name, count, s.name, collected, asIs)
		}
	}
	return nil
}
