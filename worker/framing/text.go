package framing

import (
	"bufio"
	"bytes"
	"fmt"
)

// Lines splits into lines of at most limit bytes. Their endings, LF or CRLF, are not
// given and do not count; a last line needs none. It is bufio.ScanLines with a limit.
func Lines(limit int) bufio.SplitFunc {
	return func(in []byte, atEOF bool) (size int, line []byte, err error) {
		size, line, err = firstLine(in, atEOF, limit)
		if size == 0 {
			return 0, nil, err
		}
		return size, line, nil
	}
}

// RawLines is Lines that are given with their endings, as they came in: for a session
// that passes them on.
func RawLines(limit int) bufio.SplitFunc {
	return func(in []byte, atEOF bool) (size int, line []byte, err error) {
		size, _, err = firstLine(in, atEOF, limit)
		if size == 0 {
			return 0, nil, err
		}
		return size, in[:size], nil
	}
}

// firstLine returns the line without its ending, and its size with it; 0 while the line
// may have more. A line that is too long is an error, whether it has ended or not.
func firstLine(in []byte, atEOF bool, limit int) (size int, line []byte, err error) {
	line = in
	if end := bytes.IndexByte(in, '\n'); end >= 0 {
		size, line = end+1, in[:end]
	} else if atEOF {
		size = len(in)
	}
	// A CR at the very end may be the first half of an ending.
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if len(line) > limit {
		return 0, nil, fmt.Errorf("%w: a line of more than %d bytes", ErrTooLong, limit)
	}
	return size, line, nil
}

// Delimited splits into frames of at most limit bytes that end in delimiter. The
// delimiter is not given and does not count; the last frame needs none. An empty
// delimiter panics.
func Delimited(delimiter string, limit int) bufio.SplitFunc {
	if delimiter == "" {
		panic("framing: empty delimiter")
	}
	mark := []byte(delimiter)
	return func(in []byte, atEOF bool) (size int, frame []byte, err error) {
		// least is the length that a frame has at least while its end is not
		// there: the last bytes may be the first ones of a delimiter.
		end := bytes.Index(in, mark)
		least := end
		switch {
		case end >= 0:
			size = end + len(mark)
		case atEOF:
			size, end, least = len(in), len(in), len(in)
		default:
			least = len(in) - (len(mark) - 1)
		}
		switch {
		case least > limit:
			return 0, nil, fmt.Errorf("%w: more than %d bytes before %q", ErrTooLong, limit, delimiter)
		case size == 0:
			return 0, nil, nil
		}
		return size, in[:end], nil
	}
}
