package framing

import (
	"bufio"
	"encoding/binary"
	"fmt"
)

// Fixed splits into frames of size bytes each. A size below 1 panics.
func Fixed(size int) bufio.SplitFunc {
	if size < 1 {
		panic(fmt.Sprintf("framing: frames of %d bytes", size))
	}
	return func(in []byte, atEOF bool) (int, []byte, error) {
		if len(in) < size {
			return incomplete(in, atEOF)
		}
		return size, in[:size], nil
	}
}

// Prefixed splits into frames of at most limit bytes that come after their
// length, an unsigned number of width bytes: 1, 2, 4 or 8; any other panics. The
// length counts the bytes that follow it; a frame is given without it.
func Prefixed(width int, order binary.ByteOrder, limit int) bufio.SplitFunc {
	var length func(in []byte) uint64
	switch width {
	case 1:
		length = func(in []byte) uint64 { return uint64(in[0]) }
	case 2:
		length = func(in []byte) uint64 { return uint64(order.Uint16(in)) }
	case 4:
		length = func(in []byte) uint64 { return uint64(order.Uint32(in)) }
	case 8:
		length = order.Uint64
	default:
		panic(fmt.Sprintf("framing: a length of %d bytes; it is 1, 2, 4 or 8", width))
	}
	return func(in []byte, atEOF bool) (int, []byte, error) {
		if len(in) < width {
			return incomplete(in, atEOF)
		}
		return behind(width, length(in), in, atEOF, limit)
	}
}

// Varint is Prefixed with a length as encoding/binary's PutUvarint writes it:
// delimited protocol buffers are such frames.
func Varint(limit int) bufio.SplitFunc {
	return func(in []byte, atEOF bool) (int, []byte, error) {
		length, width := binary.Uvarint(in)
		switch {
		case width == 0:
			return incomplete(in, atEOF)
		case width < 0:
			return 0, nil, fmt.Errorf("%w: a length of more than 64 bits, at most %d", ErrTooLong, limit)
		}
		return behind(width, length, in, atEOF, limit)
	}
}

// behind is what a split returns for a frame of that length, which comes behind the
// width bytes of the length itself.
func behind(width int, length uint64, in []byte, atEOF bool, limit int) (int, []byte, error) {
	switch {
	case length > uint64(max(limit, 0)):
		return 0, nil, fmt.Errorf("%w: a frame of %d bytes, at most %d", ErrTooLong, length, limit)
	case length > uint64(len(in)-width):
		return incomplete(in, atEOF)
	}
	size := width + int(length)
	return size, in[width:size], nil
}
