package web

import "strings"

// vector is what a client may send to have one request taken for two, or two for one, or
// to be a burden.
type vector struct {
	name, input string
	ours        string // the statuses of our answers, before the connection ends
	std         string // of net/http's; empty: the same
}

const (
	aGET  = "GET / HTTP/1.1\r\nHost: x\r\n"
	aPOST = "POST / HTTP/1.1\r\nHost: x\r\n"
	aNext = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"
)

// vectors are the known ones. All end with the client's FIN.
var vectors = []vector{
	{name: "a plain request", input: aGET + "\r\n", ours: "200"},
	{name: "two, pipelined", input: aGET + "\r\n" + aNext, ours: "200 200"},
	{name: "HTTP/1.0", input: "GET / HTTP/1.0\r\n\r\n" + aNext, ours: "200"},
	{name: "HTTP/1.0 that keeps alive", input: "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + aNext, ours: "200 200"},
	{name: "Connection: close", input: aGET + "Connection: close\r\n\r\n" + aNext, ours: "200"},

	// Two lengths (RFC 9112, sections 6.1 and 6.3).
	{name: "CL.TE", input: aPOST + "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX\r\n\r\n", ours: "400", std: "200 400"},
	{name: "TE.CL", input: aPOST + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + aNext, ours: "400", std: "200 200"},
	{name: "equal Content-Lengths", input: aPOST + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + aNext, ours: "400", std: "200 200"},
	{name: "Content-Lengths that differ", input: aPOST + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello" + aNext, ours: "400"},
	{name: "two Content-Lengths of 0", input: aPOST + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + aNext, ours: "400", std: "200 200"},
	{name: "a list of lengths", input: aPOST + "Content-Length: 5, 5\r\n\r\nhello", ours: "400"},
	{name: "a length with a sign", input: aPOST + "Content-Length: +5\r\n\r\nhello", ours: "400"},
	{name: "a negative length", input: aPOST + "Content-Length: -1\r\n\r\n", ours: "400"},
	{name: "a length in hex", input: aPOST + "Content-Length: 0x5\r\n\r\nhello", ours: "400"},
	{name: "an empty length", input: aPOST + "Content-Length:\r\n\r\n", ours: "400"},
	{name: "a length past 63 bits", input: aPOST + "Content-Length: 9223372036854775808\r\n\r\n", ours: "400"},
	{name: "doubled Transfer-Encoding", input: aPOST + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ours: "501"},
	{name: "a coding behind chunked", input: aPOST + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", ours: "501"},
	{name: "an unknown coding", input: aPOST + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", ours: "501"},
	{name: "a coding behind a vertical tab", input: aPOST + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", ours: "400"},
	{name: "chunked in capitals", input: aPOST + "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" + aNext, ours: "200 200"},
	{name: "chunked, of HTTP/1.0", input: "POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ours: "400", std: "200 400"},
	{name: "both lengths, of HTTP/1.0", input: "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", ours: "400", std: "200"},

	// Lines.
	{name: "a space before the colon", input: aPOST + "Content-Length : 5\r\n\r\nhello", ours: "400"},
	{name: "a space before the colon of a coding", input: aPOST + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", ours: "400"},
	{name: "a tab before the colon", input: aPOST + "Content-Length\t: 5\r\n\r\nhello", ours: "400"},
	{name: "a line that goes on", input: aGET + "A: b\r\n c\r\n\r\n" + aNext, ours: "200 200"},
	{name: "a length in a line that goes on", input: aPOST + "A: b\r\n Content-Length: 5\r\n\r\n" + aNext, ours: "200 200"},
	{name: "a length on the next line", input: aPOST + "Content-Length:\r\n 5\r\n\r\nhello" + aNext, ours: "200 200"},
	{name: "a coding on the next line", input: aPOST + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + aNext, ours: "200 200"},
	{name: "the first line of the head goes on", input: "GET / HTTP/1.1\r\n Host: x\r\n\r\n", ours: "400"},
	{name: "bare LF", input: "GET / HTTP/1.1\nHost: x\n\n" + aNext, ours: "200 200"},
	{name: "bare CR in a value", input: aGET + "A: b\rContent-Length: 5\r\n\r\nhello", ours: "400"},
	{name: "bare CR at the end of a head", input: aGET + "\r\r\n\r\n", ours: "400"},
	{name: "CR CR LF", input: aGET + "A: b\r\r\n\r\n", ours: "400"},
	{name: "NUL in a value", input: aGET + "A: b\x00c\r\n\r\n", ours: "400"},
	{name: "NUL in a name", input: aGET + "A\x00b: c\r\n\r\n", ours: "400"},
	{name: "NUL in the target", input: "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", ours: "400"},
	{name: "a line without a colon", input: aGET + "Transfer-Encoding chunked\r\n\r\n", ours: "400"},
	{name: "a line without a name", input: aGET + ": x\r\n\r\n", ours: "400"},
	{name: "bytes above 127 in a value", input: aGET + "A: \xff\xfe\r\n\r\n", ours: "200"},
	{name: "bytes above 127 in a name", input: aGET + "\xff: a\r\n\r\n", ours: "400"},

	// First lines.
	{name: "an empty line before", input: "\r\n" + aGET + "\r\n", ours: "400"},
	{name: "empty lines behind a GET", input: aGET + "\r\n\r\n" + aNext, ours: "200 400"},
	{name: "an empty line behind a POST", input: aPOST + "Content-Length: 5\r\n\r\nhello\r\n" + aNext, ours: "200 200"},
	{name: "two empty lines behind a POST", input: aPOST + "Content-Length: 5\r\n\r\nhello\r\n\r\n" + aNext, ours: "200 200"},
	{name: "three empty lines behind a POST", input: aPOST + "Content-Length: 5\r\n\r\nhello\r\n\r\n\r\n" + aNext, ours: "200 400"},
	{name: "a bit of a request behind a request", input: aGET + "\r\nGE\n", ours: "200"},
	{name: "a bit more", input: aGET + "\r\nGET\n", ours: "200 400"},
	{name: "HTTP/0.9", input: "GET /\r\n\r\n", ours: "400"},
	{name: "HTTP/2.0", input: "GET / HTTP/2.0\r\nHost: x\r\n\r\n", ours: "505"},
	{name: "HTTP/1.2", input: "GET / HTTP/1.2\r\nHost: x\r\n\r\n", ours: "200"},
	{name: "the preface of HTTP/2", input: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ours: "200"},
	{name: "that with a Host", input: "PRI * HTTP/2.0\r\nHost: x\r\n\r\n" + aNext, ours: "200 200"},
	{name: "two spaces", input: "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", ours: "400"},
	{name: "a space behind", input: "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", ours: "400"},
	{name: "a method with a colon", input: "GE:T / HTTP/1.1\r\nHost: x\r\n\r\n", ours: "400"},
	{name: "OPTIONS *", input: "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n" + aNext, ours: "200 200"},
	{name: "CONNECT", input: "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", ours: "200"},
	{name: "CONNECT without a host", input: "CONNECT x:1 HTTP/1.1\r\n\r\n", ours: "200"},

	// Hosts.
	{name: "no host", input: "GET / HTTP/1.1\r\n\r\n", ours: "400"},
	{name: "an empty host", input: "GET / HTTP/1.1\r\nHost:\r\n\r\n", ours: "200"},
	{name: "two hosts", input: aGET + "Host: y\r\n\r\n", ours: "400"},
	{name: "a host with a slash", input: "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", ours: "400"},
	{name: "a host in the target", input: "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", ours: "200"},
	{name: "a host in the target alone", input: "GET http://y/ HTTP/1.1\r\n\r\n", ours: "400"},
	{name: "a host in the target, and a malformed one", input: "GET http://y/ HTTP/1.1\r\nHost: x/y\r\n\r\n", ours: "400"},
	{name: "a host in the target, and one that goes on", input: "GET http://y/ HTTP/1.1\r\nHost: x\r\n y\r\n\r\n", ours: "400"},

	// Chunks (RFC 9112, section 7.1).
	{name: "chunks", input: chunked("5\r\nhello\r\n0\r\n\r\n"), ours: "200 200"},
	{name: "a trailer", input: chunked("5\r\nhello\r\n0\r\nA: b\r\n\r\n"), ours: "200 200"},
	{name: "an extension", input: chunked("5;a=b\r\nhello\r\n0;c\r\n\r\n"), ours: "200 200"},
	{name: "an absurd extension", input: chunked("5;" + strings.Repeat("a", 5000) + "\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "many extensions", input: chunked(strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 40) + "0\r\n\r\n"), ours: "200"},
	{name: "a chunk of 2^64", input: chunked("10000000000000000\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a negative chunk", input: chunked("-5\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk with 0x", input: chunked("0x5\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk without a size", input: chunked("\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk line by LF", input: chunked("5\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk line with CR", input: chunked("5;\rx\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk that is longer", input: chunked("5\r\nhello!\r\n0\r\n\r\n"), ours: "200"},
	{name: "a chunk that ends in LF", input: chunked("5\r\nhello\n0\r\n\r\n"), ours: "200"},
	{name: "a size with spaces behind", input: chunked("5 \t\r\nhello\r\n0\r\n\r\n"), ours: "200 200"},
	{name: "a size with a space before", input: chunked(" 5\r\nhello\r\n0\r\n\r\n"), ours: "200"},
	{name: "a trailer without an end", input: chunked("0\r\nA: b\r\n"), ours: "200"},
	{name: "a trailer that is a length", input: aPOST + "Transfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\n\r\n", ours: "400"},
	{name: "a long trailer", input: chunked("0\r\nA: " + strings.Repeat("b", 5000) + "\r\n\r\n"), ours: "200"},

	// Ends and lengths.
	{name: "nothing", input: "", ours: ""},
	{name: "an end in the first line", input: "GET / HT", ours: "400"},
	{name: "an end in the head", input: "GET / HTTP/1.1\r\nHost: x\r\n", ours: "400"},
	{name: "an end in a body", input: aPOST + "Content-Length: 5\r\n\r\nhel", ours: "200"},
	{name: "an end in a chunk", input: aPOST + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", ours: "200"},
	{name: "a head of 2 MiB", input: aGET + "A: " + strings.Repeat("b", 2<<20) + "\r\n\r\n", ours: "431"},
	{name: "a target of 2 MiB", input: "GET /" + strings.Repeat("b", 2<<20), ours: "431"},
	{name: "a head of 1 MiB", input: aGET + "A: " + strings.Repeat("b", 1<<20) + "\r\n\r\n", ours: "200"},
	{name: "100 Continue", input: aPOST + "Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello" + aNext, ours: "100 200 200"},
	{name: "another expectation", input: aPOST + "Expect: tea\r\nContent-Length: 5\r\n\r\nhello", ours: "417"},
}

// chunked is a POST of these chunks, and a request behind it.
func chunked(chunks string) string {
	return aPOST + "Transfer-Encoding: chunked\r\n\r\n" + chunks + aNext
}
