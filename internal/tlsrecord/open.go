package tlsrecord

// Content types (RFC 8446, section 5.1).
const (
	kindAlert     = 21
	kindHandshake = 22
	kindData      = 23
)

const (
	// maxPlain is the most that a record carries.
	maxPlain = 1 << 14
	// maxIdle is how many empty records, warnings and handshake messages may come with
	// no data between: each costs the peer less than it costs here.
	maxIdle = 16
)

// Opened is what Open has made of some input.
type Opened struct {
	Used  int    // bytes of raw; the rest is a record that is not whole
	Plain []byte // what the peer has sent; it is raw's own memory, of the bytes used
	Reply []byte // to be sent before anything that is sealed later: an alert, the last
	End   bool   // the peer has said that nothing more comes; what follows does not count
	Err   error  // the end of the connection, once Plain is consumed and Reply sent
}

// Open opens the whole records at the beginning of raw, in its memory, so that the plain
// bytes of all are one piece. What it leaves, less than a record of at most 18,437 bytes,
// comes again with what follows.
//
// Once the peer has sent close_notify, or the connection has failed, all of raw is used
// and ignored. Err is one of this package, and Reply the alert that tells the peer of it,
// unless it was the peer's alert (then Err wraps tls.AlertError) or CloseNotify has said
// the last word.
func (l *Layer) Open(raw []byte) Opened {
	var o Opened
	start, end := 0, 0 // of the plain bytes in raw
	for !l.peerDone && l.fault == faultNone {
		record, f := l.firstRecord(raw[o.Used:])
		if f == faultNone && record == nil {
			break
		}
		var plain []byte
		if f == faultNone {
			plain, f = l.take(record)
		}
		if f != faultNone {
			o.Reply = l.fail(nil, f)
			break
		}
		if len(plain) > 0 {
			if end == 0 {
				start = o.Used + headerLen + suites[l.suite].explicit()
				end = start + len(plain) // where it is already
			} else {
				end += copy(raw[end:], plain)
			}
		}
		o.Used += len(record)
	}
	if l.peerDone || l.fault != faultNone {
		o.Used, o.End, o.Err = len(raw), l.peerDone, l.Err()
	}
	if end > start {
		o.Plain = raw[start:end:end]
	}
	return o
}

// firstRecord returns the record at the beginning of raw, or nil if it is not whole. A
// header that cannot be right is refused as soon as it is here.
func (l *Layer) firstRecord(raw []byte) ([]byte, fault) {
	if len(raw) < headerLen {
		return nil, faultNone
	}
	s := &suites[l.suite]
	kind := raw[0]
	switch {
	case kind != kindData && (s.tls13 || kind != kindAlert && kind != kindHandshake):
		return nil, faultKind
	case raw[1] != 3 || raw[2] != 3:
		return nil, faultVersion
	}
	n := int(raw[3])<<8 | int(raw[4])
	switch {
	case n > s.longest():
		return nil, faultRecordLength
	case len(raw) < headerLen+n:
		return nil, faultNone
	}
	return raw[:headerLen+n], faultNone
}

// take opens a whole record and does what it says. It returns the data in it, if any.
func (l *Layer) take(record []byte) ([]byte, fault) {
	kind, content, f := l.openRecord(record)
	switch {
	case f != faultNone:
		return nil, f
	case l.message.have > 0 && kind != kindHandshake:
		return nil, faultInterleaved
	}
	switch kind {
	case kindData:
		if len(content) == 0 {
			return nil, l.countIdle()
		}
		l.idle = 0
		return content, faultNone
	case kindAlert:
		return nil, l.takeAlert(content)
	case kindHandshake:
		return nil, l.takeMessages(content)
	}
	return nil, faultKind
}

// openRecord opens the next record, in its memory.
func (l *Layer) openRecord(record []byte) (kind byte, content []byte, f fault) {
	s := &suites[l.suite]
	switch {
	case l.read.seq == lastSeq:
		return 0, nil, faultSequence
	case !s.tls13 && l.read.spent(s):
		return 0, nil, faultKeySpent
	}
	c := l.reading()
	content, ok := c.unprotect(s, &c.read, l.read.seq, record)
	if !ok {
		return 0, nil, faultMAC
	}
	before := l.read.spent(s)
	l.read.count(len(record))
	if s.tls13 && l.read.spent(s) && !before && l.owed == owedNone {
		l.owed = owedAsk
	}
	if !s.tls13 {
		if len(content) > maxPlain {
			return 0, nil, faultPlainLength
		}
		return record[0], content, faultNone
	}
	// The limit includes the type and the zeros behind it (RFC 8446, section 5.4).
	if len(content) > maxPlain+1 {
		return 0, nil, faultPlainLength
	}
	at := len(content) - 1
	for at >= 0 && content[at] == 0 {
		at--
	}
	if at < 0 {
		return 0, nil, faultNoKind
	}
	return content[at], content[:at], faultNone
}

// countIdle counts what has come without data.
func (l *Layer) countIdle() fault {
	l.idle++
	if l.idle > maxIdle {
		return faultIdle
	}
	return faultNone
}

// Opens says whether record, one whole record that this end has written, opens under the
// write key as the one before the first that this layer seals. So it tells whether the
// layer's secrets and number are those that the handshake has really used. It leaves
// record as it is. Of a layer whose next number is 0 nothing is known: false.
func (l *Layer) Opens(record []byte) bool {
	whole, f := l.firstRecord(record)
	if f != faultNone || whole == nil || len(whole) < len(record) || l.write.seq == 0 {
		return false
	}
	c := l.writing()
	_, ok := c.unprotect(&suites[l.suite], &c.write, l.write.seq-1, append([]byte(nil), record...))
	return ok
}
