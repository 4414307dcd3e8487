package load

import (
	"bytes"
	"errors"
	"fmt"
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
	if answer, err := p.end(&position); answer {
		return answers + 1, true, err
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
