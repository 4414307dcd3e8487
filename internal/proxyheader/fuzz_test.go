package proxyheader_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/pires/go-proxyproto"
	"github.com/usher-go/usher/internal/proxyheader"
)

func addCorpus(f *testing.F) {
	for _, test := range good {
		f.Add([]byte(test.in))
		f.Add([]byte(test.in + "GET / HTTP/1.1\r\n"))
	}
	for _, test := range bad {
		f.Add([]byte(test.in))
	}
	f.Add([]byte(summed(v2(proxy, tcp6, block6, tlv(crc32c, sum0)))))
}

// However the bytes come, Length says the same: nothing up to a byte, and from that on
// always one thing. A header is found by its last byte.
func FuzzLength(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 2*proxyheader.MaxV2 {
			return
		}
		decided := -1
		var n int
		var err error
		for have := range len(in) + 1 {
			gotN, gotErr := proxyheader.Length(in[:have:have])
			switch {
			case decided < 0 && gotN == 0 && gotErr == nil:
			case decided < 0:
				decided, n, err = have, gotN, gotErr
			case gotN != n || fmt.Sprint(gotErr) != fmt.Sprint(err):
				t.Fatalf("%d, %v after %d bytes; %d, %v after %d", n, err, decided, gotN, gotErr, have)
			}
		}
		switch {
		case decided < 0 && len(in) >= proxyheader.MaxV2:
			t.Error("it waits for more")
		case err != nil && n != 0:
			t.Errorf("%d, %v", n, err)
		case n > 0 && n != decided:
			t.Errorf("%d bytes, found after %d", n, decided)
		}
	})
}

// Parse says what the library says that reads from a stream, except where it is meant not
// to; and the library reads as much as Length says.
func FuzzParse(f *testing.F) {
	addCorpus(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		_, _ = proxyheader.Parse(in) // must not panic
		n, err := proxyheader.Length(in)
		if n == 0 && err == nil {
			return
		}
		header := in[:n]
		ours, ourErr := proxyheader.Parse(header)
		stream := bufio.NewReaderSize(bytes.NewReader(in), max(len(in), 1))
		theirs, theirErr := proxyproto.Read(stream)
		if err != nil {
			if theirErr == nil && !tooLong(in) {
				t.Fatalf("refused (%v), theirs is %+v", err, theirs)
			}
			return
		}
		switch {
		case ourErr != nil && theirErr == nil:
			expectBadTLVs(t, header, theirs, ourErr)
		case ourErr == nil && theirErr != nil:
			if !ours.Local || header[12] != local && header[13] != unspec {
				t.Fatalf("ours is %+v, theirs refused: %v", ours, theirErr)
			}
		case ourErr == nil:
			if rest, _ := io.ReadAll(stream); !bytes.Equal(rest, in[n:]) {
				t.Errorf("theirs leaves %d bytes of %d, ours %d", len(rest), len(in), len(in)-n)
			}
			expectSame(t, ours, theirs)
		}
	})
}

// tooLong reports whether it is a header of version 2 of a length that only we refuse.
func tooLong(in []byte) bool {
	return len(in) >= 16 && in[0] == '\r' && 16+int(in[14])<<8+int(in[15]) > proxyheader.MaxV2
}

// expectBadTLVs wants TLVs, which the library does not look at by itself, or a checksum
// in them, to be what we refuse.
func expectBadTLVs(t *testing.T, header []byte, theirs *proxyproto.Header, ourErr error) {
	t.Helper()
	tlvs, err := theirs.TLVs()
	if err != nil {
		return
	}
	for _, tlv := range tlvs {
		if tlv.Type == proxyproto.PP2_TYPE_CRC32C {
			return
		}
	}
	t.Fatalf("%q is refused: %v", header, ourErr)
}

func expectSame(t *testing.T, ours proxyheader.Header, theirs *proxyproto.Header) {
	t.Helper()
	if ours.Version != int(theirs.Version) {
		t.Errorf("version %d, theirs %d", ours.Version, theirs.Version)
	}
	if ours.Local != (ours.Source == netip.AddrPort{}) || ours.Local != (ours.Destination == netip.AddrPort{}) {
		t.Errorf("local: %v, with %v and %v", ours.Local, ours.Source, ours.Destination)
	}
	if theirs.Command.IsLocal() {
		if !ours.Local || ours.TLVs != nil {
			t.Errorf("theirs is local, ours %+v", ours)
		}
		return
	}
	source, destination, ok := theirs.IPs()
	if ok == ours.Local {
		t.Fatalf("theirs has addresses: %v, ours %+v", ok, ours)
	}
	if ok {
		sourcePort, destinationPort, _ := theirs.Ports()
		for _, end := range []struct {
			ours   netip.AddrPort
			theirs []byte
			port   int
		}{{ours.Source, source, sourcePort}, {ours.Destination, destination, destinationPort}} {
			addr, _ := netip.AddrFromSlice(end.theirs)
			if end.ours != netip.AddrPortFrom(addr.Unmap(), uint16(end.port)) {
				t.Errorf("%v, theirs %v port %d", end.ours, addr, end.port)
			}
		}
	}
	tlvs, _ := theirs.TLVs()
	kept := 0
	for _, tlv := range tlvs {
		if tlv.Type == proxyproto.PP2_TYPE_NOOP {
			continue
		}
		if kept >= len(ours.TLVs) || ours.TLVs[kept].Type != byte(tlv.Type) || !bytes.Equal(ours.TLVs[kept].Value, tlv.Value) {
			t.Fatalf("TLVs %v, theirs %v", ours.TLVs, tlvs)
		}
		kept++
	}
	if kept != len(ours.TLVs) {
		t.Errorf("TLVs %v, theirs %v", ours.TLVs, tlvs)
	}
}
