package tlsrecord

// Alerts that are sent here (RFC 8446, section 6), or that do not end a connection.
const (
	closeNotify       = 0
	unexpectedMessage = 10
	badRecordMAC      = 20
	recordOverflow    = 22
	illegalParameter  = 47
	decodeError       = 50
	protocolVersion   = 70
	internalError     = 80
	userCanceled      = 90
	noRenegotiation   = 100
)

const (
	levelWarning = 1
	levelFatal   = 2
)

// CloseNotify appends to dst what tells the peer that nothing more comes, and returns
// dst. Nothing is sealed after it, and the second time it appends nothing; nor does it
// where an alert has ended the connection. What the peer sends is still opened.
//
// The peer's close_notify does not ask for it: TLS 1.3 closes each direction by itself
// (RFC 8446, section 6.1), and TLS 1.2, which wants it answered at once, is used that way
// by all.
func (l *Layer) CloseNotify(dst []byte) []byte {
	if l.selfDone || l.fault != faultNone {
		return dst
	}
	l.selfDone = true
	return l.appendAlert(dst, closeNotify)
}

// Alert appends to dst the alert of that number (RFC 8446, section 6.2), which ends the
// connection, and returns dst. Nothing is sealed or opened after it. It appends nothing
// after another one, or after CloseNotify, which was the last that the peer listens to.
func (l *Layer) Alert(dst []byte, code uint8) []byte {
	if l.fault != faultNone {
		return dst
	}
	l.fault, l.alert = faultTold, code
	if l.selfDone {
		return dst
	}
	return l.appendAlert(dst, code)
}

// fail ends the connection for a reason of its own, and appends to dst what the peer is
// told of it.
func (l *Layer) fail(dst []byte, f fault) []byte {
	l.fault = f
	if code := faults[f].alert; code != closeNotify && !l.selfDone {
		return l.appendAlert(dst, code)
	}
	return dst
}

// appendAlert seals an alert, if there is a number left for it.
func (l *Layer) appendAlert(dst []byte, code uint8) []byte {
	level := byte(levelFatal)
	switch code {
	case closeNotify, userCanceled, noRenegotiation:
		level = levelWarning
	}
	dst, _ = l.sealRecord(dst, kindAlert, []byte{level, code}) // the connection ends anyhow
	return dst
}

// takeAlert takes what a record of the peer's says. In TLS 1.3 the level does not count,
// and user_canceled, which some send before close_notify, is a warning; in TLS 1.2 all
// that is marked so is one.
func (l *Layer) takeAlert(b []byte) fault {
	switch len(b) {
	case 0:
		return faultEmpty
	case 2:
	default:
		return faultAlertLength
	}
	level, code := b[0], b[1]
	warning := code == userCanceled
	if !suites[l.suite].tls13 {
		if level != levelWarning && level != levelFatal {
			return faultAlertLevel
		}
		warning = level == levelWarning
	}
	switch {
	case code == closeNotify:
		l.peerDone = true
		return faultNone
	case warning:
		return l.countIdle()
	}
	l.alert = code
	return faultPeer
}
