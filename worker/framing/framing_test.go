package framing_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker"
	"github.com/usher-go/usher/worker/framing"
	"pgregory.net/rapid"
)

// feed gives a split its input in fragments, as a worker does: what is not
// consumed comes again with more. A Conn that is of no worker flows.
func feed(split bufio.SplitFunc, fragments ...[]byte) (frames []string, err error) {
	keep := func(_ *worker.Conn, frame []byte) error {
		frames = append(frames, string(frame))
		return nil
	}
	c := new(worker.Conn)
	var left []byte
	for _, fragment := range fragments {
		left = append(left, fragment...)
		n, err := framing.Each(c, left, split, keep)
		if err != nil {
			return frames, err
		}
		left = left[n:]
	}
	return frames, framing.Last(c, left, split, keep)
}

// splits are those that the properties hold for.
var splits = []bufio.SplitFunc{
	framing.Lines(8),
	framing.RawLines(8),
	framing.Delimited("\r\n", 8),
	framing.Delimited("aba", 8), // an end that can begin within itself
	framing.Fixed(3),
	framing.Prefixed(1, binary.BigEndian, 10),
	framing.Prefixed(2, binary.LittleEndian, 300),
	framing.Varint(300),
	bufio.ScanWords, // it passes over bytes without a frame
}

// Whatever the bytes and however they come: the frames and the error are those
// of the whole, and those that bufio.Scanner finds.
func TestFragmentsEqualTheWhole(t *testing.T) {
	bytesOf := rapid.SliceOf(rapid.SampledFrom([]byte("ab\r\n\x00\x01\x03\x82 ")))
	rapid.Check(t, func(t *rapid.T) {
		split := rapid.SampledFrom(splits).Draw(t, "split")
		fragments := rapid.SliceOf(bytesOf).Draw(t, "fragments")
		checkFragments(t, split, fragments)
	})
}

func FuzzFragments(f *testing.F) {
	f.Add([]byte("ab\ncd\r\n\x01x"), []byte{1, 2}, byte(0))
	f.Fuzz(func(t *testing.T, in, cuts []byte, which byte) {
		var fragments [][]byte
		for _, cut := range cuts {
			n := min(int(cut), len(in))
			fragments, in = append(fragments, in[:n]), in[n:]
		}
		checkFragments(t, splits[int(which)%len(splits)], append(fragments, in))
	})
}

func checkFragments(t interface{ Fatalf(string, ...any) }, split bufio.SplitFunc, fragments [][]byte) {
	whole := bytes.Join(fragments, nil)
	want, wantErr := scan(string(whole), split)
	got, err := feed(split, fragments...)
	if !slices.Equal(got, want) || message(err) != message(wantErr) {
		t.Fatalf("in fragments %q: %q, %v; as a whole: %q, %v", fragments, got, err, want, wantErr)
	}
}

// Within the limit, Lines is what the standard library calls lines.
func TestLinesAreScanLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringOf(rapid.SampledFrom([]rune("a\x00\r\n"))).Draw(t, "in")
		want, _ := scan(in, bufio.ScanLines)
		got, err := scan(in, framing.Lines(len(in)))
		if !slices.Equal(got, want) || err != nil {
			t.Fatalf("%q: %q, %v; want %q", in, got, err, want)
		}
		raw, err := scan(in, framing.RawLines(len(in)))
		if joined := strings.Join(raw, ""); joined != in || err != nil {
			t.Fatalf("%q: raw lines %q, %v", in, raw, err)
		}
	})
}

// The first error of the function ends it, and what comes behind is not given.
func TestEachStopsAtAnError(t *testing.T) {
	enough := errors.New("enough")
	for _, each := range map[string]func(c *worker.Conn, in []byte, f framing.Func) error{
		"Each": func(c *worker.Conn, in []byte, f framing.Func) error {
			_, err := framing.Each(c, in, framing.Lines(8), f)
			return err
		},
		"Last": func(c *worker.Conn, in []byte, f framing.Func) error {
			return framing.Last(c, in, framing.Lines(8), f)
		},
	} {
		var got []string
		err := each(new(worker.Conn), []byte("a\nb\nc\n"), func(_ *worker.Conn, line []byte) error {
			if got = append(got, string(line)); len(got) == 2 {
				return enough
			}
			return nil
		})
		if !slices.Equal(got, []string{"a", "b"}) || err != enough {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

// Appending to a frame does not change the next one.
func TestFramesDoNotOverlap(t *testing.T) {
	var got []string
	_, err := framing.Each(new(worker.Conn), []byte("a\nb\n"), framing.Lines(8), func(_ *worker.Conn, line []byte) error {
		got = append(got, string(append(line, "!!"...)))
		return nil
	})
	if !slices.Equal(got, []string{"a!!", "b!!"}) || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A split of somebody's own that does not keep to the contract ends the
// connection, and not the worker.
func TestSplitsThatLie(t *testing.T) {
	tests := map[string]bufio.SplitFunc{
		"too much":              func(in []byte, _ bool) (int, []byte, error) { return len(in) + 1, in, nil },
		"less than nothing":     func(in []byte, _ bool) (int, []byte, error) { return -1, in, nil },
		"a frame from no bytes": func(in []byte, _ bool) (int, []byte, error) { return 0, in, nil },
	}
	for name, split := range tests {
		t.Run(name, func(t *testing.T) {
			frames, err := feed(split, []byte("ab"))
			if len(frames) > 0 || err == nil {
				t.Errorf("%q, %v; want an error", frames, err)
			}
		})
	}
}

// BenchmarkEach must not allocate. An operation is one frame of 64 bytes, its
// ending or length included, of those in one input of 16 KiB.
func BenchmarkEach(b *testing.B) {
	const count, size = 256, 64
	body := strings.Repeat("x", size-2)
	benchmarks := []struct {
		name  string
		split bufio.SplitFunc
		frame string
	}{
		{"Lines", framing.Lines(4096), body + "\r\n"},
		{"RawLines", framing.RawLines(4096), body + "\r\n"},
		{"Delimited", framing.Delimited("\r\n", 4096), body + "\r\n"},
		{"Fixed", framing.Fixed(size), "xx" + body},
		{"Prefixed", framing.Prefixed(2, binary.BigEndian, 4096), "\x00" + string(rune(size-2)) + body},
		{"Varint", framing.Varint(4096), string(rune(size-1)) + "x" + body},
	}
	for _, benchmark := range benchmarks {
		b.Run(benchmark.name, func(b *testing.B) {
			in := []byte(strings.Repeat(benchmark.frame, count))
			c, frames := new(worker.Conn), 0
			b.ReportAllocs()
			for done := 0; done < b.N; done += count {
				n, err := framing.Each(c, in, benchmark.split, func(_ *worker.Conn, frame []byte) error {
					frames++
					return nil
				})
				if n != len(in) || err != nil {
					b.Fatal(n, err)
				}
			}
			if frames < b.N {
				b.Fatalf("%d frames", frames)
			}
		})
	}
}
