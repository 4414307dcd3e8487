package load

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// fed gives a protocol the input in pieces of so many bytes, what it leaves again
// with more, and returns how many answers it has seen.
func fed(p protocol, in []byte, piece int) (answers int, last bool, err error) {
	var position position
	var rest []byte
	for len(in) > 0 {
		n := min(piece, len(in))
		rest = append(rest, in[:n]...)
		in = in[n:]
		used, ended, end, err := p.scan(&position, uint64(answers), rest)
		answers += ended
		if err != nil || end {
			return answers, end, err
		}
		rest = rest[used:]
	}
	if p.endsAnswer(&position) {
		return answers + 1, true, nil
	}
	return answers, false, nil
}

func requests(p protocol, n int) []byte {
	var all []byte
	for i := range n {
		all = append(all, p.request(uint64(i))...)
	}
	return all
}

// An echo, and lines with something before them, are right in whatever pieces
// they come, and wrong with any byte changed or in another order.
func TestEchoAndLines(t *testing.T) {
	for _, size := range []int{2, 8, 9, 17, 64, 1000} {
		for _, p := range []protocol{newEcho(size), newLines(size)} {
			t.Run(fmt.Sprintf("%T of %d", p, size), func(t *testing.T) {
				all := requests(p, 300)
				for _, piece := range []int{1, 3, 64, len(all)} {
					if answers, _, err := fed(p, all, piece); answers != 300 || err != nil {
						t.Errorf("in pieces of %d: %d answers, %v", piece, answers, err)
					}
				}
				for _, at := range []int{0, size - 1, 7*size + size/2} {
					wrong := bytes.Clone(all)
					wrong[at] ^= 0x11
					if answers, _, err := fed(p, wrong, 100); !errors.Is(err, errWrong) && answers == 300 {
						t.Errorf("byte %d changed: %d answers, %v", at, answers, err)
					}
				}
				if size > 8 {
					swapped := append(bytes.Clone(all[size:2*size]), all[:size]...)
					if _, _, err := fed(p, swapped, len(swapped)); !errors.Is(err, errWrong) {
						t.Errorf("in another order: %v", err)
					}
				}
			})
		}
	}
	p := newLines(20)
	var answers []byte
	for i := range 3 {
		answers = append(answers, "123 127.0.0.1 4567 "...)
		answers = append(answers, p.request(uint64(i))...)
	}
	if n, _, err := fed(p, answers, 7); n != 3 || err != nil {
		t.Errorf("with something before: %d, %v", n, err)
	}
}

func TestHTTP(t *testing.T) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"
	tests := []struct {
		name, in string
		answers  int
		last     bool
		wrong    bool
	}{
		{name: "a length", in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", answers: 1},
		{name: "none", in: "HTTP/1.1 204 No Content\r\n\r\n", answers: 1},
		{name: "of nothing", in: "HTTP/1.1 301 Moved\r\ncontent-length:0\r\n\r\n", answers: 1},
		{name: "chunks", in: chunked, answers: 1},
		{name: "a trailer", in: strings.Replace(chunked, "0\r\n\r\n", "0\r\nA: b\r\n\r\n", 1), answers: 1},
		{name: "two", in: chunked + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", answers: 2},
		{name: "the last", in: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", answers: 1, last: true},
		{name: "of HTTP/1.0", in: "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", answers: 1, last: true},
		{name: "of HTTP/1.0, kept", in: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", answers: 1},
		{name: "unfinished", in: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"},
		{name: "an error", in: "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", wrong: true},
		{name: "something else", in: "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", wrong: true},
		{name: "no length", in: "HTTP/1.1 200 OK\r\n\r\nhello", answers: 1, last: true},
		{name: "no length, of HTTP/1.0", in: "HTTP/1.0 200 OK\r\n\r\nhello", answers: 1, last: true},
		{name: "no length, and no body", in: "HTTP/1.1 200 OK\r\n\r\n", answers: 1, last: true},
		{name: "no length, after others", in: chunked + "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", answers: 2, last: true},
		{name: "coded, without chunks", in: "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: gzip\r\n\r\nhello", answers: 1, last: true},
		{name: "coded, in chunks", in: strings.Replace(chunked, "chunked", "gzip, Chunked", 1), answers: 1},
		{name: "an early hint", in: "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" + chunked, answers: 1},
		{name: "continue, and a hint", in: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nConnection: close\r\n\r\n" + chunked, answers: 1},
		{name: "a hint alone", in: "HTTP/1.1 103 Early Hints\r\n\r\n"},
		{name: "another protocol", in: "HTTP/1.1 101 Switching Protocols\r\n\r\nhello", wrong: true},
		{name: "a wrong length", in: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", wrong: true},
		{name: "a wrong chunk", in: strings.Replace(chunked, "5\r\n", "5g\r\n", 1), wrong: true},
	}
	for _, test := range tests {
		for _, piece := range []int{1, 5, len(test.in)} {
			answers, last, err := fed(newHTTP("/", "host"), []byte(test.in), piece)
			if answers != test.answers || last != test.last || errors.Is(err, errWrong) != test.wrong {
				t.Errorf("%s, in pieces of %d: %d answers, last %v, %v", test.name, piece, answers, last, err)
			}
		}
	}
}

// Whatever a server sends, the scan takes no more than there is, and pieces make
// no difference.
func FuzzHTTP(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n"), 3)
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 7)
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		p := newHTTP("/", "host")
		whole, lastWhole, errWhole := fed(p, in, max(len(in), 1))
		pieces, lastPieces, errPieces := fed(p, in, min(max(piece, 1), 1000))
		if whole != pieces || lastWhole != lastPieces || (errWhole == nil) != (errPieces == nil) {
			t.Errorf("whole: %d, %v, %v; in pieces: %d, %v, %v", whole, lastWhole, errWhole, pieces, lastPieces, errPieces)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	for _, p := range []protocol{newEcho(64), newLines(64)} {
		b.Run(fmt.Sprintf("%T", p), func(b *testing.B) {
			var position position
			b.ReportAllocs()
			for n := range uint64(b.N) {
				if _, answers, _, err := p.scan(&position, n, p.request(n)); answers != 1 || err != nil {
					b.Fatal(answers, err)
				}
			}
		})
	}
}
