package tlsrecord_test

import (
	"bytes"
	"crypto/tls"
	"fmt"

	"github.com/usher-go/usher/internal/tlsrecord"
)

// A connection goes on in another process: between two halves of a record, and with data
// that is sealed there.
func Example() {
	// What a handshake has agreed on.
	ofClient, ofServer := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	const suite = tls.TLS_AES_128_GCM_SHA256
	client, err := tlsrecord.NewTLS13(tlsrecord.Client, suite, ofClient, ofServer, 0, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := tlsrecord.NewTLS13(tlsrecord.Server, suite, ofClient, ofServer, 0, 0)
	if err != nil {
		fmt.Println(err)
		return
	}

	raw := client.Seal(nil, []byte("hello"))
	raw = client.Seal(raw, []byte("are you still there?"))
	o := server.Open(raw[:40]) // as much as has come
	fmt.Printf("%q, and %d bytes are left\n", o.Plain, 40-o.Used)

	state := server.Freeze(nil)
	server.Wipe()
	// state and raw[o.Used:40] go to another process, and so does the socket.
	server, err = tlsrecord.Thaw(state)
	clear(state)
	if err != nil {
		fmt.Println(err)
		return
	}

	o = server.Open(raw[o.Used:])
	fmt.Printf("%q\n", o.Plain)
	o = client.Open(server.CloseNotify(server.Seal(nil, []byte("yes"))))
	fmt.Printf("%q, and that is all: %t\n", o.Plain, o.End)
	// Output:
	// "hello", and 13 bytes are left
	// "are you still there?"
	// "yes", and that is all: true
}

// A Cache keeps the ciphers of what was busy lately. Its owner sweeps it now and then,
// while something is left.
func ExampleCache() {
	var cache tlsrecord.Cache
	secret := make([]byte, 32)
	l, err := tlsrecord.NewTLS13(tlsrecord.Server, tls.TLS_CHACHA20_POLY1305_SHA256, secret, secret, 0, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	l.SetCache(&cache)
	l.Seal(nil, []byte("hello"))
	fmt.Println(cache.Sweep(), "right after")
	fmt.Println(cache.Sweep(), "a while later")
	l.Seal(nil, []byte("it builds them again"))
	fmt.Println(cache.Sweep(), "after that")
	// Output:
	// 1 right after
	// 0 a while later
	// 1 after that
}

// An end without close_notify may be somebody else's doing.
func ExampleLayer_EOF() {
	secret := make([]byte, 32)
	client, _ := tlsrecord.NewTLS13(tlsrecord.Client, tls.TLS_AES_128_GCM_SHA256, secret, secret, 0, 0) // which these fit
	server, _ := tlsrecord.NewTLS13(tlsrecord.Server, tls.TLS_AES_128_GCM_SHA256, secret, secret, 0, 0)
	server.Open(client.Seal(nil, []byte("all of it?")))
	fmt.Println(server.EOF())
	server.Open(client.CloseNotify(nil))
	fmt.Println(server.EOF())
	// Output:
	// unexpected EOF
	// <nil>
}
