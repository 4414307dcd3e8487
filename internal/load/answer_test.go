package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	nethttp "net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newTestHTTP is the protocol of a plan for HTTP.
func newTestHTTP(t testing.TB, change func(*Plan)) *http {
	t.Helper()
	p := httpPlan("127.0.0.1:80")
	if change != nil {
		change(p)
	}
	if err := p.Check(); err != nil {
		t.Fatal(err)
	}
	h, err := newHTTP(p)
	if err != nil {
		t.Fatal(err)
	}
	return h
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
		{name: "something else", in: "SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", wrong: true},
		{name: "no length", in: "HTTP/1.1 200 OK\r\n\r\nhello", answers: 1, last: true},
		{name: "no length, of HTTP/1.0", in: "HTTP/1.0 200 OK\r\n\r\nhello", answers: 1, last: true},
		{name: "no length, and no body", in: "HTTP/1.1 200 OK\r\n\r\n", answers: 1, last: true},
		{name: "no length, after others", in: chunked + "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", answers: 2, last: true},
		{name: "coded, without chunks", in: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", answers: 1, last: true},
		{name: "both lengths", in: strings.Replace(chunked, "\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n", 1), wrong: true},
		{name: "two lengths", in: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", wrong: true},
		{name: "two codings", in: strings.Replace(chunked, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1), wrong: true},
		{name: "a length with a sign", in: "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", wrong: true},
		{name: "no length at all", in: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", wrong: true},
		{name: "a body of 204", in: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n", answers: 1, wrong: true},
		{name: "a length of 304", in: "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", answers: 1},
		{name: "tokens, with close", in: "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 1\r\n\r\nx", answers: 1, last: true},
		{name: "a line that goes on", in: "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n", wrong: true},
		{name: "a blank before the colon", in: "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", wrong: true},
		{name: "no colon", in: "HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n", wrong: true},
		{name: "no name", in: "HTTP/1.1 200 OK\r\n: 0\r\n\r\n", wrong: true},
		{name: "LF alone", in: "HTTP/1.1 200 OK\nContent-Length: 0\n\n", wrong: true},
		{name: "LF within", in: "HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5\r\n\r\nhello", wrong: true},
		{name: "NUL", in: "HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", wrong: true},
		{name: "no reason", in: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", answers: 1},
		{name: "a long status", in: "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", wrong: true},
		{name: "a status of letters", in: "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", wrong: true},
		{name: "a long header", in: "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead), wrong: true},
		{name: "a chunk of nothing but a blank", in: strings.Replace(chunked, "5\r\n", " \r\n", 1), wrong: true},
		{name: "a chunk with a sign", in: strings.Replace(chunked, "5\r\n", "+5\r\n", 1), wrong: true},
		{name: "a chunk that is longer", in: strings.Replace(chunked, "5\r\n", "4\r\n", 1), wrong: true},
		{name: "a chunk that is beyond all", in: strings.Replace(chunked, "5\r\n", "fffffffffffffffff\r\n", 1), wrong: true},
		{name: "an endless extension", in: strings.Replace(chunked, ";x=y", ";"+strings.Repeat("x", maxChunkLine+1), 1), wrong: true},
		{name: "a wrong trailer", in: strings.Replace(chunked, "0\r\n\r\n", "0\r\nA b\r\n\r\n", 1), wrong: true},
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
			answers, last, err := fed(newTestHTTP(t, nil), []byte(test.in), piece)
			if answers != test.answers || last != test.last || errors.Is(err, errWrong) != test.wrong {
				t.Errorf("%s, in pieces of %d: %d answers, last %v, %v", test.name, piece, answers, last, err)
			}
		}
	}
}

// Answers with a status that is not wanted end as others do, and what follows is read.
func TestStatusNotWanted(t *testing.T) {
	const in = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" +
		"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\nHTTP/1.1 500 Oops\r\nConnection: close\r\n\r\nsorry"
	for _, test := range []struct {
		status, right, refused int
	}{{0, 1, 3}, {200, 1, 3}, {404, 1, 3}, {204, 0, 4}} {
		h := newTestHTTP(t, func(p *Plan) { p.Status = test.status })
		var position position
		right, refused, rest := 0, 0, []byte(in)
		for {
			used, answers, _, err := h.scan(&position, 0, rest)
			right, rest = right+answers, rest[used:]
			if !errors.Is(err, errStatus) {
				break
			}
			refused++
		}
		if answer, err := h.end(&position); !answer || !errors.Is(err, errStatus) || len(rest) > 0 {
			t.Errorf("the last: %v, %v, with %q left", answer, err, rest)
		}
		if refused++; right != test.right || refused != test.refused || h.statuses[503] != 1 || h.statuses[500] != 1 {
			t.Errorf("%d: %d right, %d refused; want %+v", test.status, right, refused, test)
		}
	}
}

// An answer to HEAD has no body, whatever it says.
func TestAnswersToHead(t *testing.T) {
	const in = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
	h := newTestHTTP(t, func(p *Plan) { p.Method = "HEAD" })
	if answers, last, err := fed(h, []byte(in), 3); answers != 3 || last || err != nil {
		t.Errorf("%d answers, last %v, %v", answers, last, err)
	}
}

// Where it is known what should come, each byte counts.
func TestExpect(t *testing.T) {
	const text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
	file := filepath.Join(t.TempDir(), "digits")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		expect Content
		in     string
		wrong  string
	}{
		{"a length", Content{Size: 10}, text, ""},
		{"a file", Content{File: file}, text, ""},
		{"fewer bytes", Content{Size: 11}, text, "10 bytes, not 11"},
		{"more bytes", Content{Size: 9}, text, "more than 9"},
		{"another byte", Content{File: file}, strings.Replace(text, "456789\r", "45678x\r", 1), "other bytes"},
		{"to the end of the connection", Content{File: file}, "HTTP/1.0 200 OK\r\n\r\n0123456789", ""},
		{"of those a byte too few", Content{File: file}, "HTTP/1.0 200 OK\r\n\r\n012345678", "9 bytes, not 10"},
		{"none", Content{Size: 0}, "HTTP/1.1 204 No Content\r\n\r\n", ""},
	} {
		for _, piece := range []int{1, 7, len(test.in)} {
			h := newTestHTTP(t, func(p *Plan) { p.Expect = &test.expect })
			_, _, err := fed(h, []byte(test.in), piece)
			if (err != nil) != (test.wrong != "") || err != nil && (!errors.Is(err, errWrong) || !strings.Contains(err.Error(), test.wrong)) {
				t.Errorf("%s, in pieces of %d: %v", test.name, piece, err)
			}
		}
	}
}

// What a server sends back is verified, up to the number of the request.
func TestExpectSent(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, 100} {
		h := newTestHTTP(t, func(p *Plan) { p.Body, p.Expect = &Content{Size: size}, &Content{Sent: true} })
		answers := func(first int) (all []byte) {
			for n := range 300 {
				request, err := nethttp.ReadRequest(bufio.NewReader(bytes.NewReader(h.request(uint64(first + n)))))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(request.Body)
				if err != nil || len(body) != size || request.Method != "POST" || request.Host != "127.0.0.1:80" {
					t.Fatalf("%d bytes, %v, %+v", len(body), err, request)
				}
				all = append(all, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)...)
			}
			return all
		}
		for _, piece := range []int{1, 100, 1 << 20} {
			if n, _, err := fed(h, answers(0), piece); n != 300 || err != nil {
				t.Errorf("%d bytes, in pieces of %d: %d answers, %v", size, piece, n, err)
			}
		}
		if n, _, err := fed(h, answers(1), 1<<20); size > 0 && (n > 0 || !errors.Is(err, errBody)) {
			t.Errorf("%d bytes, of the next request: %d answers, %v", size, n, err)
		}
	}
}

// Bodies go whole, in whatever form.
func TestBodies(t *testing.T) {
	file := filepath.Join(t.TempDir(), "random")
	random := make([]byte, 100_000)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random) // it cannot fail
	if err := os.WriteFile(file, random, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, body := range []Content{{}, {Size: 1}, {Size: chunkSize}, {Size: 3*chunkSize + 1}, {File: file}} {
		for _, chunked := range []bool{false, true} {
			h := newTestHTTP(t, func(p *Plan) {
				p.Body, p.Chunked, p.Method, p.Headers = &body, chunked, "PUT", []string{"Host: example", "X-A: b"}
			})
			request, err := nethttp.ReadRequest(bufio.NewReader(bytes.NewReader(h.request(0x1234))))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(request.Body)
			want, _ := body.read() // it was read before
			if body.File == "" {
				stamp(want, 0x1234)
			}
			if err != nil || !bytes.Equal(got, want) || request.Method != "PUT" || request.Host != "example" || request.Header.Get("X-A") != "b" || chunked != (request.ContentLength < 0) {
				t.Errorf("%+v, chunked %v: %d bytes, %v, %+v", body, chunked, len(got), err, request)
			}
		}
	}
}

// Whatever a server sends, pieces make no difference, and what is taken for an answer
// net/http takes for the same one.
func FuzzAnswers(f *testing.F) {
	for _, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.0 200 \r\n0:\x7f\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nA: b\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
	} {
		f.Add([]byte(in), 3)
	}
	f.Fuzz(func(t *testing.T, in []byte, piece int) {
		h := newTestHTTP(t, nil)
		whole, lastWhole, errWhole := fed(h, in, max(len(in), 1))
		pieces, lastPieces, errPieces := fed(newTestHTTP(t, nil), in, min(max(piece, 1), 1000))
		if whole != pieces || lastWhole != lastPieces || (errWhole == nil) != (errPieces == nil) {
			t.Errorf("whole: %d, %v, %v; in pieces: %d, %v, %v", whole, lastWhole, errWhole, pieces, lastPieces, errPieces)
		}
		reader := bufio.NewReader(bytes.NewReader(in))
		for n := range whole {
			response, err := nethttp.ReadResponse(reader, nil)
			for err == nil && response.StatusCode < 200 {
				response, err = nethttp.ReadResponse(reader, nil)
			}
			if err == nil {
				_, err = io.Copy(io.Discard, response.Body)
			}
			if err != nil && strings.Contains(err.Error(), "transfer encoding") {
				return // net/http knows none but chunked, which is the last of several perhaps
			}
			if err != nil {
				t.Fatalf("answer %d of %d: %v", n, whole, err)
			}
		}
	})
}
