package framing_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/usher-go/usher/worker/framing"
)

// scan has a split read as a client would, with the standard library.
func scan(in string, split bufio.SplitFunc) (frames []string, err error) {
	scanner := bufio.NewScanner(strings.NewReader(in))
	scanner.Buffer(nil, 1<<20)
	scanner.Split(split)
	for scanner.Scan() {
		frames = append(frames, scanner.Text())
	}
	return frames, scanner.Err()
}

func TestSplits(t *testing.T) {
	var (
		lines   = framing.Lines(4)
		raw     = framing.RawLines(4)
		records = framing.Delimited("--", 4)
		fixed   = framing.Fixed(3)
		byte1   = framing.Prefixed(1, binary.BigEndian, 4)
		big2    = framing.Prefixed(2, binary.BigEndian, 4)
		little4 = framing.Prefixed(4, binary.LittleEndian, 4)
		big8    = framing.Prefixed(8, binary.BigEndian, 4)
		varint  = framing.Varint(200)
	)
	tests := []struct {
		name  string
		split bufio.SplitFunc
		in    string
		want  []string
		err   string // empty: none
	}{
		{"lines: nothing", lines, "", nil, ""},
		{"lines: LF and CRLF", lines, "a\nb\r\n", []string{"a", "b"}, ""},
		{"lines: empty ones", lines, "\n\r\n\n", []string{"", "", ""}, ""},
		{"lines: no end", lines, "a\nb", []string{"a", "b"}, ""},
		{"lines: half an ending", lines, "a\nb\r", []string{"a", "b"}, ""},
		{"lines: CR inside", lines, "a\rb\n", []string{"a\rb"}, ""},
		{"lines: NUL and high bytes", lines, "\x00\xff\n", []string{"\x00\xff"}, ""},
		{"lines: longest", lines, "abcd\nabcd\r\nabcd", []string{"abcd", "abcd", "abcd"}, ""},
		{"lines: longest, half an ending", lines, "abcd\r", []string{"abcd"}, ""},
		{"lines: too long", lines, "ab\nabcde\n", []string{"ab"}, "framing: too long: a line of more than 4 bytes"},
		{"lines: too long without an end", lines, "ab\nabcde", []string{"ab"}, "framing: too long: a line of more than 4 bytes"},
		{"lines: CR counts where no LF follows", lines, "abcd\rx", nil, "framing: too long: a line of more than 4 bytes"},

		{"raw lines", raw, "a\nb\r\n\n", []string{"a\n", "b\r\n", "\n"}, ""},
		{"raw lines: no end", raw, "a\nb\r", []string{"a\n", "b\r"}, ""},
		{"raw lines: longest", raw, "abcd\r\nabcd\n", []string{"abcd\r\n", "abcd\n"}, ""},
		{"raw lines: too long", raw, "abcde\n", nil, "framing: too long: a line of more than 4 bytes"},

		{"delimited", records, "a--bc----d-e--", []string{"a", "bc", "", "d-e"}, ""},
		{"delimited: no end", records, "a--b-", []string{"a", "b-"}, ""},
		{"delimited: longest", records, "abcd--abcd", []string{"abcd", "abcd"}, ""},
		{"delimited: longest, half a delimiter", records, "abc-", []string{"abc-"}, ""},
		{"delimited: too long", records, "a--abcde--", []string{"a"}, `framing: too long: more than 4 bytes before "--"`},
		{"delimited: too long without an end", records, "abcde", nil, `framing: too long: more than 4 bytes before "--"`},

		{"fixed", fixed, "abcdef", []string{"abc", "def"}, ""},
		{"fixed: a part", fixed, "abcde", []string{"abc"}, "framing: unexpected EOF: 2 bytes of a frame"},

		{"prefixed 1", byte1, "\x01a\x00\x02bc", []string{"a", "", "bc"}, ""},
		{"prefixed 2", big2, "\x00\x01a\x00\x04abcd", []string{"a", "abcd"}, ""},
		{"prefixed 4", little4, "\x01\x00\x00\x00a\x00\x00\x00\x00", []string{"a", ""}, ""},
		{"prefixed 8", big8, "\x00\x00\x00\x00\x00\x00\x00\x01a", []string{"a"}, ""},
		{"prefixed: a part of the length", big2, "\x00\x01a\x00", []string{"a"}, "framing: unexpected EOF: 1 bytes of a frame"},
		{"prefixed: a part of the frame", big2, "\x00\x02a", nil, "framing: unexpected EOF: 3 bytes of a frame"},
		{"prefixed: too long", big2, "\x01\x00", nil, "framing: too long: a frame of 256 bytes, at most 4"},
		{"prefixed: longer than can be", big8, strings.Repeat("\xff", 8), nil, "framing: too long: a frame of 18446744073709551615 bytes, at most 4"},

		{"varint", varint, "\x01a\x00\x80\x01" + strings.Repeat("x", 128), []string{"a", "", strings.Repeat("x", 128)}, ""},
		{"varint: a part of the length", varint, "\x80", nil, "framing: unexpected EOF: 1 bytes of a frame"},
		{"varint: too long", varint, "\xc9\x01", nil, "framing: too long: a frame of 201 bytes, at most 200"},
		{"varint: longer than can be", varint, strings.Repeat("\xff", 11), nil, "framing: too long: a length of more than 64 bits, at most 200"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := scan(test.in, test.split)
			if !slices.Equal(got, test.want) || message(err) != test.err {
				t.Errorf("scanned %q, %v; want %q, %s", got, err, test.want, test.err)
			}
			got, err = feed(test.split, []byte(test.in))
			if !slices.Equal(got, test.want) || message(err) != test.err {
				t.Errorf("fed %q, %v; want %q, %s", got, err, test.want, test.err)
			}
			if strings.Contains(test.err, "too long") != errors.Is(err, framing.ErrTooLong) ||
				strings.Contains(test.err, "EOF") != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the error %q is of the wrong kind", err)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// What no frame can be is a mistake of the program, and found at once.
func TestSplitsThatCannotBe(t *testing.T) {
	tests := map[string]func(){
		"fixed size 0":       func() { framing.Fixed(0) },
		"a length of 3":      func() { framing.Prefixed(3, binary.BigEndian, 1) },
		"an empty delimiter": func() { framing.Delimited("", 1) },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			make()
		})
	}
}

// The limit is found before the bytes behind it are there: what is kept for a
// frame is bounded by it.
func TestTooLongIsFoundEarly(t *testing.T) {
	tests := []struct {
		name  string
		split bufio.SplitFunc
		in    string // the shortest that shows it
	}{
		{"lines", framing.Lines(4), "abcde"},
		{"delimited", framing.Delimited("--", 4), "abcd-x"},
		{"prefixed", framing.Prefixed(2, binary.BigEndian, 4), "\x00\x05"},
		{"varint", framing.Varint(4), "\x05"},
	}
	for _, test := range tests {
		for end := range len(test.in) + 1 {
			size, frame, err := test.split([]byte(test.in[:end]), false)
			if want := end == len(test.in); size != 0 || frame != nil || errors.Is(err, framing.ErrTooLong) != want {
				t.Errorf("%s: %q gives %d, %q, %v; too long: %v", test.name, test.in[:end], size, frame, err, want)
			}
		}
	}
}

// A client reads with a Scanner what a worker frames with the same split.
func ExamplePrefixed() {
	split := framing.Prefixed(2, binary.BigEndian, 1024)
	answers := bufio.NewScanner(strings.NewReader("\x00\x05hello\x00\x00\x00\x05world"))
	answers.Split(split)
	for answers.Scan() {
		fmt.Printf("%q\n", answers.Text())
	}
	// Output:
	// "hello"
	// ""
	// "world"
}
