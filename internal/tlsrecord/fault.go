package tlsrecord

import (
	"crypto/tls"
	"fmt"
)

// fault is why a connection must end. The numbers are in frozen states: new ones go to
// the end.
type fault uint8

const (
	faultNone fault = iota
	faultPeer       // the peer has sent an alert that ends the connection
	faultTold       // the user of the layer has had an alert sent
	faultWiped
	faultKeySpent
	faultSequence
	faultMAC
	faultRecordLength
	faultPlainLength
	faultVersion
	faultKind
	faultNoKind
	faultEmpty
	faultAlertLength
	faultAlertLevel
	faultInterleaved
	faultMessage
	faultMessageLength
	faultUpdateValue
	faultUpdateInside
	faultRenegotiation
	faultIdle
	numFaults
)

// faults says what is wrong, and which alert the peer is sent for it (RFC 8446, section
// 6.2; RFC 5246, section 7.2.2). One of closeNotify stands for none: of those the peer is
// told otherwise, or not at all.
var faults = [numFaults]struct {
	alert uint8
	text  string
}{
	faultPeer:          {closeNotify, "the peer has ended the connection"},
	faultTold:          {closeNotify, "the connection was ended"},
	faultWiped:         {closeNotify, "the keys are wiped"},
	faultKeySpent:      {internalError, "a key has protected as much as it may, and TLS 1.2 has no other"},
	faultSequence:      {internalError, "there are no more sequence numbers"},
	faultMAC:           {badRecordMAC, "a record does not authenticate: it is changed, out of order, or not of this connection"},
	faultRecordLength:  {recordOverflow, "a record is too long"},
	faultPlainLength:   {recordOverflow, "a record carries more than 16384 bytes"},
	faultVersion:       {protocolVersion, "a record is not of version 3.3"},
	faultKind:          {unexpectedMessage, "a record is of a type that may not come after the handshake"},
	faultNoKind:        {unexpectedMessage, "a record has no content type"},
	faultEmpty:         {unexpectedMessage, "an alert or handshake record is empty"},
	faultAlertLength:   {decodeError, "an alert is not of two bytes"},
	faultAlertLevel:    {illegalParameter, "an alert is neither a warning nor fatal"},
	faultInterleaved:   {unexpectedMessage, "another record came inside a handshake message"},
	faultMessage:       {unexpectedMessage, "a handshake message is of a type that may not come after the handshake"},
	faultMessageLength: {decodeError, "a handshake message has a length that it cannot have"},
	faultUpdateValue:   {illegalParameter, "a KeyUpdate asks for something unknown"},
	faultUpdateInside:  {unexpectedMessage, "a KeyUpdate does not end its record"},
	faultRenegotiation: {noRenegotiation, "the peer asks for renegotiation"},
	faultIdle:          {unexpectedMessage, "too many records came without data"},
}

// Error makes a fault the error that Open and Err return.
func (f fault) Error() string { return "tlsrecord: " + faults[f].text }

// err is nil for faultNone. Of the peer's alert it wraps tls.AlertError.
func (f fault) err(alert uint8) error {
	switch f {
	case faultNone:
		return nil
	case faultPeer, faultTold:
		return fmt.Errorf("%w: %w", f, tls.AlertError(alert))
	}
	return f
}

// alerted says whether alert means something beside f.
func (f fault) alerted() bool { return f == faultPeer || f == faultTold }
