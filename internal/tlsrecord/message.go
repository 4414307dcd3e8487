package tlsrecord

// message is a handshake message of which a part has come. Of its body nothing needs to
// be kept: it is one byte, or is dropped.
type message struct {
	have   uint8   // bytes of the header
	header [4]byte // type and length; once it is whole, the length is of what has not come
}

// Handshake messages that may come after the handshake (RFC 8446, section 4.6; RFC
// 5246, section 7.4.1.1), and one that may not, but gets an answer of its own.
const (
	helloRequest     = 0
	clientHello      = 1
	newSessionTicket = 4
	keyUpdate        = 24
)

func (m *message) left() int {
	return int(m.header[1])<<16 | int(m.header[2])<<8 | int(m.header[3])
}

func (m *message) setLeft(n int) {
	m.header[1], m.header[2], m.header[3] = byte(n>>16), byte(n>>8), byte(n)
}

// lengths returns between what the length of a handshake message may be, or why it may
// not come at all:
//
//	           TLS 1.3                       TLS 1.2
//	to server  KeyUpdate                     none: a ClientHello would be renegotiation
//	to client  KeyUpdate, NewSessionTicket   HelloRequest
//
// A client that has offered no post-handshake authentication refuses a
// CertificateRequest (RFC 8446, section 4.6.2).
func (l *Layer) lengths(kind byte) (least, most int, f fault) {
	tls13, client := suites[l.suite].tls13, l.role == Client
	switch {
	case tls13 && kind == keyUpdate:
		return 1, 1, faultNone
	case tls13 && client && kind == newSessionTicket:
		// Lifetime, age, nonce, ticket of a byte at least, extensions.
		return 4 + 4 + 1 + 2 + 1 + 2, 4 + 4 + 1 + 255 + 2 + 1<<16 - 1 + 2 + 1<<16 - 2, faultNone
	case !tls13 && client && kind == helloRequest:
		return 0, 0, faultNone
	case !tls13 && !client && kind == clientHello:
		return 0, 0, faultRenegotiation
	}
	return 0, 0, faultMessage
}

// takeMessages takes a record's part of the peer's handshake messages: the end of one,
// whole ones, and the beginning of another.
func (l *Layer) takeMessages(b []byte) fault {
	if len(b) == 0 {
		return faultEmpty
	}
	m := &l.message
	for len(b) > 0 {
		if m.have < uint8(len(m.header)) {
			m.header[m.have] = b[0]
			m.have++
			b = b[1:]
			least, most, f := l.lengths(m.header[0])
			if f != faultNone {
				return f
			}
			if m.have < uint8(len(m.header)) {
				continue
			}
			if n := m.left(); n < least || n > most {
				return faultMessageLength
			}
		}
		body := b[:min(len(b), m.left())]
		b = b[len(body):]
		m.setLeft(m.left() - len(body))
		if m.left() > 0 {
			continue
		}
		kind := m.header[0]
		*m = message{}
		if kind == keyUpdate {
			if len(b) > 0 {
				return faultUpdateInside
			}
			if f := l.takeUpdate(body[0]); f != faultNone {
				return f
			}
		}
		if f := l.countIdle(); f != faultNone {
			return f
		}
	}
	return faultNone
}

// takeUpdate goes on to the peer's next key. A request is answered before the next data
// that is sealed, and several by one answer (RFC 8446, section 4.6.3).
func (l *Layer) takeUpdate(request byte) fault {
	switch request {
	case updateNotRequested:
		if l.owed == owedAsk { // that is what would have been asked for
			l.owed = owedNone
		}
	case updateRequested:
		l.owed = owedAnswer
	default:
		return faultUpdateValue
	}
	l.renew(&l.read)
	return faultNone
}
