package tlshandshake

// seen is what the records themselves tell, of those that crypto/tls has read and written.
type seen struct {
	read, wrote direction
	last        []byte // the last record written
}

// direction is what the records of one direction tell.
type direction struct {
	hello       [helloStart]byte // the beginning of the first message
	have        int              // bytes of hello
	changed     bool             // ChangeCipherSpec has passed
	application uint64           // records of type application data, as all that TLS 1.3 seals are
	sealed      uint64           // records after ChangeCipherSpec, as all that TLS 1.2 seals are
	handshakes  int              // of those, records of handshake messages
	finished    int              // bytes of those, as they are sealed
}

// helloStart is how far the random reaches in a hello, from the message's header on, in
// which legacy_version comes before it (RFC 8446, section 4.1.2).
const helloStart = helloHeader + 2 + 32

// received notes a record that crypto/tls reads. It may be cut, if nothing follows.
func (s *seen) received(record []byte) { s.read.note(record) }

// written notes records that crypto/tls writes: always whole ones.
func (s *seen) written(records []byte) {
	var last []byte
	for len(records) >= headerLength {
		n := min(recordLength(records), len(records))
		last, records = records[:n], records[n:]
		s.wrote.note(last)
	}
	s.last = append(s.last[:0], last...)
}

func (d *direction) note(record []byte) {
	if len(record) < headerLength {
		return
	}
	payload := record[headerLength:]
	if d.changed {
		d.sealed++
	}
	switch record[0] {
	case typeChangeCipherSpec:
		d.changed = true
	case typeApplicationData:
		d.application++
	case typeHandshake:
		if d.changed {
			d.handshakes++
			d.finished += len(payload)
		} else {
			d.have += copy(d.hello[d.have:], payload)
		}
	}
}

// helloRandom returns the random of the first handshake message, if that is of the type.
func (d *direction) helloRandom(message byte) (random [32]byte, ok bool) {
	if d.have < helloStart || d.hello[0] != message {
		return random, false
	}
	return [32]byte(d.hello[helloStart-32:]), true
}
