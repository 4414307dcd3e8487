package tlshandshake

import (
	"crypto/tls"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkMemory compares what a handshake here takes with what crypto/tls alone does,
// without sockets; the same client is in both. On one processor, so that nothing is
// waited for or woken.
//
//	go test -run XXX -bench Memory -cpu 1 ./internal/tlshandshake
func BenchmarkMemory(b *testing.B) {
	for _, version := range versions {
		for _, resumed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s, resumed %v", tls.VersionName(version), resumed), func(b *testing.B) {
				config := serverConfig(ecdsaKey())
				client := clientConfig(version)
				if resumed {
					client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				}
				var theirs, ours []float64
				memoryOurs(b, config, client) // and a ticket is there
				for b.Loop() {
					theirs = append(theirs, cpu(func() { memoryTheirs(b, config, client) }))
					ours = append(ours, cpu(func() { memoryOurs(b, config, client) }))
				}
				report(b, theirs, ours)
			})
		}
	}
}

// cpu returns what the process takes for one of a few.
func cpu(do func()) float64 {
	const few = 5
	before := usage(unix.CLOCK_PROCESS_CPUTIME_ID)
	for range few {
		do()
	}
	return (usage(unix.CLOCK_PROCESS_CPUTIME_ID) - before).Seconds() * 1e6 / few
}

func memoryTheirs(b *testing.B, config, client *tls.Config) {
	conn, other := newPair()
	done := make(chan error, 2)
	go func() {
		_, err := tls.Server(other, config).Write([]byte{1})
		done <- err
	}()
	go func() {
		_, err := tls.Client(conn, client).Read(make([]byte, 1))
		done <- err
	}()
	for range 2 {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
}

func memoryOurs(b *testing.B, config, client *tls.Config) {
	conn, other := newPair()
	wakes := make(chan struct{}, 4)
	failed := make(chan error, 1)
	go func() {
		_, err := tls.Client(conn, client).Read(make([]byte, 1))
		failed <- err
	}()
	buffer := benchBuffer[:]
	n, _ := other.Read(buffer)
	h := benchPool.Start(config, buffer[:n], nil, nil, func() { wakes <- struct{}{} })
	for {
		<-wakes
		out, done := h.Take()
		if done {
			r, err := h.Result()
			if err != nil {
				b.Error(err)
			} else {
				out = r.Layer.Seal(out, []byte{1})
			}
			other.Write(out)
			break
		}
		other.Write(out)
		n, _ = other.Read(buffer)
		h.Feed(buffer[:n])
	}
	if err := <-failed; err != nil {
		b.Error(err)
	}
}

var (
	benchPool   = NewPool(1)
	benchBuffer [8192]byte
)
