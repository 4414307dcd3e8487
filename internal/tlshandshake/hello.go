package tlshandshake

import "encoding/binary"

const (
	headerLength  = 5              // of a record
	maxCiphertext = 16<<10 + 2<<10 // of a record, without its header (RFC 5246, section 6.2.3)
	helloHeader   = 4              // of a handshake message: type and length
	maxHello      = 64 << 10       // of a ClientHello that crypto/tls reads
	startsAnyway  = 16 << 10       // see WholeHello
)

// Content types of records, and types of handshake messages (RFC 8446, sections 5.1 and 4).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
	typeSSLv2            = 0x80 // the first byte of a short ClientHello of SSL 2.0

	messageClientHello = 1
	messageServerHello = 2
)

// WholeHello reports whether raw, which is all that has come from a client, suffices to
// start a handshake. It does if a whole ClientHello is there, over however many records;
// if crypto/tls refuses what is there, since it sends the alert that is due; and when 16
// KiB are there, so that nobody has to hold more than that: the rest is fed.
//
// Otherwise more must come; of less than a record's header nothing is said. An error is an
// *Error and says that this is not TLS: its Answer is to be sent before the connection is
// closed, and no alert, which only a TLS client would understand.
func WholeHello(raw []byte) (whole bool, err error) {
	if len(raw) >= headerLength && !plausible(raw) {
		return false, notTLS(raw)
	}
	var message [helloHeader]byte // the beginning of the message, which should be a ClientHello
	have := 0                     // how much of it there is
	for rest := raw; len(rest) >= headerLength; {
		length := recordLength(rest)
		if rest[0] != typeHandshake || !plausible(rest) || length == headerLength || length > headerLength+maxCiphertext {
			return true, nil // crypto/tls refuses it
		}
		if len(rest) < length {
			break
		}
		payload := rest[headerLength:length]
		if have < helloHeader {
			copy(message[have:], payload)
		}
		have += len(payload)
		if have >= helloHeader {
			need := helloHeader + int(binary.BigEndian.Uint32(message[:])&0xffffff)
			if have >= need || need > helloHeader+maxHello {
				return true, nil
			}
		}
		rest = rest[length:]
	}
	return len(raw) >= startsAnyway, nil
}

// plausible reports whether crypto/tls goes beyond the header of a first record.
func plausible(header []byte) bool {
	switch header[0] {
	case typeSSLv2:
		return true // it answers with an alert
	case typeHandshake, typeAlert:
		return binary.BigEndian.Uint16(header[1:]) < 0x1000
	}
	return false
}

// recordLength returns how many bytes the record at the beginning of b takes, with its
// header; 0 if the header is not all here.
func recordLength(b []byte) int {
	if len(b) < headerLength {
		return 0
	}
	return headerLength + int(binary.BigEndian.Uint16(b[3:]))
}

// LooksLikeHTTP reports whether raw begins as a request of HTTP without TLS does; it
// asks what net/http asks.
func LooksLikeHTTP(raw []byte) bool {
	if len(raw) < headerLength {
		return false
	}
	switch string(raw[:headerLength]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// looksLikePROXY reports whether raw begins as a PROXY header, of version 1 or 2, does. As
// many bytes are looked at as a record's header has.
func looksLikePROXY(raw []byte) bool {
	if len(raw) < headerLength {
		return false
	}
	begins := string(raw[:headerLength])
	return begins == "PROXY" || begins == "\r\n\r\n\x00"
}

// httpAnswer is net/http's answer to such a request.
const httpAnswer = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"

// notTLS is the error for a client that does not speak TLS.
func notTLS(raw []byte) *Error {
	if LooksLikeHTTP(raw) {
		return &Error{Reason: PlainHTTP, text: "client sent an HTTP request to a TLS port", answer: httpAnswer}
	}
	if looksLikePROXY(raw) {
		return &Error{Reason: NotTLS, text: "first bytes are a PROXY header: write proxy=on at the listener's address, or have the proxy send none"}
	}
	return &Error{Reason: NotTLS, text: "first bytes do not look like a TLS handshake"}
}
