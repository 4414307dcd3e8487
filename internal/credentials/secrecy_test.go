package credentials

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// shown is all that is likely to happen to a value that somebody prints.
func shown(t *testing.T, value any) string {
	t.Helper()
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&b, verb+"\n", value)
		fmt.Fprintf(&b, verb+"\n", struct{ part any }{value})
		fmt.Fprintf(&b, verb+"\n", []any{value})
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("it", "value", value)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("it", "value", value)
	text, err := json.Marshal(value)
	if err != nil {
		t.Error(err)
	}
	b.Write(text)
	return b.String()
}

// spellings are how a secret may look in a text.
func spellings(secret []byte) []string {
	return []string{
		string(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret)),
		base64.StdEncoding.EncodeToString(secret[:len(secret)/3*3]), fmt.Sprint(secret), strings.Trim(fmt.Sprint(secret), "[]"), fmt.Sprintf("%#v", secret),
	}
}

// Nothing that is secret shows in any way of printing, as a part of another value neither.
func TestNothingSecretIsShown(t *testing.T) {
	c, k := whole(t)
	key := c.certificates[0].pair.PrivateKey.(*ecdsa.PrivateKey)
	private, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secrets := [][]byte{private, k.keys[0].secret[:], k.keys[1].secret[:]}
	type parts struct {
		Credentials *Credentials
		Keys        *TicketKeys
		c           *Credentials
		k           *TicketKeys
		all         map[string]any
	}
	text := shown(t, c) + shown(t, k) + shown(t, *c) + shown(t, *k) + shown(t, parts{c, k, c, k, map[string]any{"c": c, "k": k}})
	number, _ := new(strings.Builder), 0
	fmt.Fprint(number, key.D) //lint:ignore SA1019 as %v would show it
	for _, secret := range secrets {
		for _, spelling := range append(spellings(secret), number.String()) {
			if strings.Contains(text, spelling) {
				t.Errorf("a secret is shown, as %q", spelling)
			}
		}
	}
	for _, want := range []string{"credentials of 2 certificates and 2 client CAs", "2 ticket keys"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown", want)
		}
	}
	var none *Credentials
	var noKeys *TicketKeys
	if got := fmt.Sprintf("%v, %+v", none, noKeys); got != "no credentials, no ticket keys" {
		t.Error(got)
	}
}

// No error about a bad file shows what is in it: a key, for one, in the place of another
// file.
func TestErrorsShowNoSecret(t *testing.T) {
	p := newPlace(t)
	secret := p.one.KeyPEM(t)
	body := strings.Split(string(secret), "\n")[1]
	half := secret[:len(secret)/2]
	raw := "kZ8vQ2mT5xW7cB1nL4pR6sY9aD0fG3hJ"
	tickets := p.write("tickets", []byte(base64.StdEncoding.EncodeToString([]byte(raw))+"x"))
	for name, f := range map[string]Files{
		"as certificate": {Certs: []string{p.write("a", secret)}, Keys: []string{p.path("one-key.pem")}},
		"half":           {Certs: []string{p.path("one.pem")}, Keys: []string{p.write("b", half)}},
		"damaged":        {Certs: []string{p.path("one.pem")}, Keys: []string{p.write("c", bytes.Replace(secret, []byte("MIG"), []byte("MIH"), 1))}},
		"without PEM":    {Certs: []string{p.path("one.pem")}, Keys: []string{p.write("d", []byte(body))}},
		"as CA":          {Certs: []string{p.path("one.pem")}, Keys: []string{p.path("one-key.pem")}, ClientCA: p.path("one-key.pem")},
		"as OCSP":        {Certs: []string{p.path("one.pem")}, Keys: []string{p.path("one-key.pem")}, OCSP: []string{p.path("one-key.pem")}},
	} {
		_, _, err := Load(f, time.Now())
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if text := err.Error() + fmt.Sprintf("%#v", err); strings.Contains(text, body[10:30]) || strings.Contains(text, body[len(body)-20:]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{tickets, p.path("one-key.pem")} {
		if _, _, err := LoadTicketKeys(path); err == nil || strings.Contains(err.Error(), raw) || strings.Contains(err.Error(), body[10:30]) {
			t.Errorf("%v", err)
		}
	}
	k := NewTicketKeys(time.Now())
	message := Encode(mustLoad(t, p.files("one")), k)
	for i := range message {
		bad := bytes.Clone(message)
		bad[i] ^= 0x55
		if _, _, err := Decode(bad); err != nil {
			for _, spelling := range spellings(k.keys[0].secret[:8]) {
				if strings.Contains(err.Error(), spelling) {
					t.Fatalf("%v", err)
				}
			}
		}
	}
}

// What is wiped is gone.
func TestWipe(t *testing.T) {
	c, k := whole(t)
	message := Encode(c, k)
	Wipe(message)
	keys := k.keys
	k.Wipe()
	if !bytes.Equal(message, make([]byte, len(message))) || *keys[0].secret != (ticketSecret{}) || k.String() != "0 ticket keys" {
		t.Error("something is left")
	}
}
