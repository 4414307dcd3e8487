package main

import (
	"bytes"
	"io"
	"net"
	"testing"
)

// An operation is 512 lines of 63 bytes sent in one write, and their answers
// read, through the real server: what the app costs beside the system calls.
func BenchmarkLines(b *testing.B) {
	const count = 512
	address := serveBenchmark(b, "--workers", "1", "--app", "lines")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	line := append(bytes.Repeat([]byte{'x'}, 63), '\n')
	out := bytes.Repeat(line, count)
	in := make([]byte, 64<<10)
	b.ReportAllocs()
	b.SetBytes(int64(len(out)))
	for b.Loop() {
		if _, err := conn.Write(out); err != nil {
			b.Fatal(err)
		}
		for left := count; left > 0; {
			n, err := conn.Read(in)
			if err != nil && err != io.EOF {
				b.Fatal(err)
			}
			left -= bytes.Count(in[:n], []byte{'\n'})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/line")
}
