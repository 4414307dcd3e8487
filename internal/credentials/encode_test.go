package credentials

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
)

// whole are credentials that have everything.
func whole(t testing.TB) (*Credentials, *TicketKeys) {
	p := newPlace(t)
	middle := p.ca.Intermediate(t, "middle")
	p.one = middle.Issue(t, certtest.Want{Names: []string{"one.example"}})
	p.one.Write(t, p.dir, "one")
	p.issue("rsa", certtest.Want{Names: []string{"*.two.example"}, Key: certtest.RSA(t)})
	f := p.files("one", "rsa")
	f.ClientCA = p.write("cas.pem", append(p.ca.CertPEM(), middle.CertPEM()...))
	f.OCSP = []string{p.write("one.ocsp", answer(t, &middle.Pair, &middle.Pair, p.one.Chain[0], nil))}
	f.MinVersion = "1.3"
	k := NewTicketKeys(time.Now())
	k.Rotate(time.Now().Add(rotateEvery))
	return mustLoad(t, f), k
}

// What is decoded is what was encoded.
func TestEncode(t *testing.T) {
	c, k := whole(t)
	message := Encode(c, k)
	if n := encodedSize(c, k); len(message) > n || cap(message) > n+8<<10 {
		t.Errorf("%d bytes of %d, at most %d were said", len(message), cap(message), n)
	}
	c2, k2, err := Decode(message)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(Encode(c2, k2), message) {
		t.Error("encoded again it is another message")
	}
	Wipe(message) // nothing of it may be kept
	if !k.Equal(k2) || !k2.NextRotation().Equal(k.NextRotation().Truncate(time.Second)) || k2.FromFile() {
		t.Errorf("ticket keys: %v, %v", k2.NextRotation(), k.NextRotation())
	}
	if c2.CAHash() != c.CAHash() || c2.minVersion != tls.VersionTLS13 || len(c2.certificates) != 2 || len(c2.clientCAs) != 2 {
		t.Errorf("%+v", c2.Certificates())
	}
	for i, one := range c2.certificates {
		was := c.certificates[i]
		if one.file != was.file || len(one.pair.Certificate) != len(was.pair.Certificate) || !one.leaf().Equal(was.leaf()) ||
			!bytes.Equal(one.pair.Certificate[0], was.pair.Certificate[0]) || (one.stapled == nil) != (was.stapled == nil) || !one.stapleEnds.Equal(was.stapleEnds) {
			t.Errorf("certificate %d: %+v", i, one.leaf().Subject)
		}
	}
	if !c2.Has("x.two.example") {
		t.Error("names are missing")
	}
	k3, err := DecodeTicketKeys(EncodeTicketKeys(k))
	if err != nil || !k.Equal(k3) {
		t.Errorf("ticket keys alone: %v", err)
	}
}

// Each message that is not as Encode writes it is refused.
func TestDecodeRefuses(t *testing.T) {
	c, k := whole(t)
	good, keys := Encode(c, k), EncodeTicketKeys(k)
	other := certtest.NewCA(t, "other")
	otherKey, _ := x509.MarshalPKCS8PrivateKey(other.Key)
	chain := c.certificates[0].pair.Certificate[0]
	message := func(sections ...[]byte) []byte { return append([]byte(magic), bytes.Join(sections, nil)...) }
	section := func(kind byte, contents ...[]byte) []byte {
		return appendSection(nil, kind, func(b []byte) []byte { return append(b, bytes.Join(contents, nil)...) })
	}
	version, ticket := section(sectionMinVersion, []byte{3, 3}), keys[len(magic):]
	tests := map[string]struct {
		message []byte
		want    string
	}{
		"nothing":                   {nil, "no message of this version"},
		"another version":           {bytes.Replace(good, []byte("1"), []byte("2"), 1), "no message of this version"},
		"magic alone":               {message(), "there is no version of TLS"},
		"too long":                  {make([]byte, MaxEncoded+1), "at most 16777216"},
		"ticket keys alone":         {keys, "there is no version of TLS"},
		"no certificate":            {message(version, ticket), "there is no certificate"},
		"no ticket keys":            {bytes.TrimSuffix(good, ticket), "there are no ticket keys"},
		"something after":           {append(bytes.Clone(good), 0), "cut off within a length"},
		"a length beyond":           {message([]byte{1, 255, 255, 255, 255, 0}), "4294967295 bytes are said to follow, 1 do"},
		"an unknown kind":           {message([]byte{99, 0, 0, 0, 0}), "section of kind 99: not known to this program"},
		"kind 0":                    {message([]byte{0, 0, 0, 0, 0}), "section of kind 0: not known"},
		"two versions":              {message(version, version), "section of kind 1: not one version"},
		"TLS 1.1":                   {message(section(sectionMinVersion, []byte{3, 2})), "version 0x0302 of TLS"},
		"a short version":           {message(section(sectionMinVersion, []byte{3})), "not one version"},
		"an empty pair":             {message(section(sectionPair)), "pair 1: cut off within a length"},
		"a pair without fields":     {message(section(sectionPair, appendField(nil, nil))), "pair 1: cut off within a length"},
		"no key":                    {message(section(sectionPair, appendField(nil, nil), appendField(nil, nil))), "its private key cannot be read"},
		"no chain":                  {message(section(sectionPair, appendField(nil, otherKey), appendField(nil, nil))), "the key is not the certificate's"},
		"another's key":             {message(section(sectionPair, appendField(nil, otherKey), appendField(nil, nil), appendField(nil, chain))), "the key is not the certificate's"},
		"a bad certificate":         {message(section(sectionPair, appendField(nil, otherKey), appendField(nil, nil), appendField(nil, chain[:50]))), "x509: malformed"},
		"a bad OCSP answer":         {message(section(sectionPair, appendField(nil, otherKey), appendField(nil, []byte{1}), appendField(nil, other.Chain[0].Raw))), "its OCSP answer: "},
		"a bad CA":                  {message(section(sectionClientCA, []byte{1})), "section of kind 3: x509: malformed"},
		"no key of tickets":         {message(section(sectionTicketKeys, []byte{0})), "1 bytes are not 1 to 7 ticket keys"},
		"a key too many":            {message(section(sectionTicketKeys, make([]byte, 1+8*ticketEntryLen))), "321 bytes are not 1 to 7 ticket keys"},
		"half a key":                {message(section(sectionTicketKeys, make([]byte, ticketEntryLen))), "40 bytes are not 1 to 7"},
		"neither of a file nor not": {message(section(sectionTicketKeys, []byte{2}, make([]byte, ticketEntryLen))), "are not 1 to 7"},
		"a path of no pair":         {append(bytes.Clone(good), section(sectionFile)...), "not one path for each pair"},
		"ticket keys again":         {message(ticket, ticket), "section of kind 4: again"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := Decode(test.message); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
	small := Encode(mustLoad(t, newPlace(t).files("one")), k)
	for i := range small { // cut off anywhere
		if _, _, err := Decode(small[:i]); err == nil {
			t.Fatalf("cut off after %d of %d bytes it is taken", i, len(small))
		}
	}
	if _, err := DecodeTicketKeys(good); err == nil || !strings.Contains(err.Error(), "there is more than those") {
		t.Errorf("ticket keys with credentials: %v", err)
	}
	if _, err := DecodeTicketKeys(message()); err == nil {
		t.Error("no ticket keys are taken for some")
	}
	if _, _, err := Decode(append(bytes.Clone(good), section(0x82, []byte("later"))...)); err != nil {
		t.Errorf("what may be unknown: %v", err)
	}
}

// Whatever the bytes are, Decode returns; what it takes it encodes to the same again.
func FuzzDecode(f *testing.F) {
	_, k := whole(f)
	p := newPlace(f)
	files := p.files("one") // without RSA, of which a key takes a while to read
	files.ClientCA = p.path("ca.pem")
	f.Add(Encode(mustLoad(f, files), k))
	f.Add(EncodeTicketKeys(k))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, message []byte) {
		c, k, err := Decode(message)
		if err == nil {
			again := Encode(c, k)
			if _, _, err := Decode(again); err != nil {
				t.Errorf("what was encoded of it: %v", err)
			}
			_ = c.Config("x", nil, k)
			_ = c.Certificates()
		}
		if keys, err := DecodeTicketKeys(message); err == nil && (len(keys.keys) == 0 || len(keys.keys) > MaxTicketKeys) {
			t.Errorf("%d ticket keys", len(keys.keys))
		}
	})
}

// Lengths within a message that are too large are not believed.
func TestDecodeBelievesNoLength(t *testing.T) {
	good := Encode(mustLoad(t, newPlace(t).files("one")), NewTicketKeys(time.Now()))
	for i := range len(good) - 4 {
		bad := bytes.Clone(good)
		binary.BigEndian.PutUint32(bad[i:], 0xfffffff0)
		_, _, _ = Decode(bad) // it does not panic, nor ask for as much memory
	}
}
