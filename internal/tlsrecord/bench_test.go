package tlsrecord

import (
	"crypto/tls"
	"fmt"
	"testing"
)

// BenchmarkEcho opens a record and seals another one of the same length, with ciphers at
// hand, and with ciphers that are built anew for each (cold).
func BenchmarkEcho(b *testing.B) {
	for i := range suites {
		for _, size := range []int{64, 16384} {
			name := fmt.Sprintf("%s/%d", tls.CipherSuiteName(suites[i].id), size)
			b.Run(name, func(b *testing.B) { benchEcho(b, suites[i].id, size, false) })
			if size == 64 {
				b.Run(name+"/cold", func(b *testing.B) { benchEcho(b, suites[i].id, size, true) })
			}
		}
	}
}

func benchEcho(b *testing.B, suite uint16, size int, cold bool) {
	client, server := pair(b, suite)
	plain := make([]byte, size)
	// Not more than a key may protect, and as many as time is not spent on.
	const batch = 64
	records := make([][]byte, batch)
	var out []byte
	b.SetBytes(int64(2 * size))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%batch == 0 {
			b.StopTimer()
			for i := range records {
				records[i] = client.Seal(records[i][:0], plain)
			}
			b.StartTimer()
		}
		if cold {
			server.dropCiphers()
		}
		o := server.Open(records[n%batch])
		if o.Err != nil {
			b.Fatal(o.Err)
		}
		out = server.Seal(out[:0], o.Plain)
	}
}
