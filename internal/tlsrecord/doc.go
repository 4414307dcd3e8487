// Package tlsrecord goes on where a TLS handshake has ended: it opens the records that
// have come, seals what is to be sent, and can stop at any byte and go on in another
// process. It is for connections that outlive the process that serves them.
//
//	l, err := tlsrecord.NewTLS13(tlsrecord.Server, suite, clientSecret, serverSecret, 0, tickets)
//	…
//	o := l.Open(raw)                    // of the socket: whole records, in place
//	raw = raw[o.Used:]                  // the rest of one comes again, with what follows
//	session(o.Plain)
//	out = append(out, o.Reply...)       // an alert, where o.Err ends the connection
//	out = l.Seal(out, answer)
//
// It is TLS 1.3 with its three usual suites, and TLS 1.2 with the same ciphers after ECDHE:
// what RFC 9325 asks a server to have, and no more.
//
// # Invariant
//
// A Layer computes, and no more: no input or output, no goroutine, no clock, no log. All
// that it is, is in its 160 bytes: two secrets, two sequence numbers, and a few bytes on
// what is under way. What ciphers there are was computed from these, and can be again. So
// its state can be written down at any moment (Freeze) and read elsewhere (Thaw), and the
// peer cannot tell. Only one of the two may go on: both would use the same nonces.
//
// Nothing that a peer sends makes it panic, grow, or answer more than once.
//
// # What it decides
//
// Where the RFCs leave a choice, or a limit is needed:
//
//   - A KeyUpdate that the peer asks for is owed, and goes before the next data (RFC 8446,
//     section 4.6.3). So a peer that asks again and again, and reads nothing, is answered
//     once. Open answers nothing but the alert that ends a connection.
//   - An AES-GCM key protects what 2^24 full records hold (RFC 8446, section 5.5, allows
//     2^24.5), counted in blocks, since small records use less of it: 256 GiB, or some
//     three thousand million records of 64 bytes. Then TLS 1.3 goes on to another key of
//     its own, and asks the peer for one; TLS 1.2 cannot, and the connection ends. The last
//     sequence number is never used.
//   - Records without data (empty ones, warnings, KeyUpdates, tickets) may come 16 times
//     with no data between.
//   - TLS 1.2's renegotiation ends the connection, after the warning no_renegotiation
//     (RFC 5246, section 7.2.2): who asks for it wanted what will not be, and going on
//     would have the peer draw answers for ever. A client ignores HelloRequest.
//   - After the handshake only KeyUpdate, a client's NewSessionTicket (dropped) and
//     HelloRequest, alerts and data may come. user_canceled is ignored, and so are
//     warnings in TLS 1.2.
//   - close_notify ends one direction, in TLS 1.2 too; it is never sent by itself. Whether
//     the peer's was missing when its socket ended, EOF tells.
//   - Handshake messages must not have other records between their parts, in TLS 1.2
//     neither, where nobody does so.
//
// # What it is not
//
// It is no handshake: package tlshandshake has crypto/tls do that, and hands over. It
// does no renegotiation, no 0-RTT, no CBC, no compression, no DTLS, and it is not a
// FIPS 140 module: it refuses to work under GODEBUG=fips140=only.
//
// # Secrets
//
// They are in a type that prints nothing, however it is asked (see Secret), and Wipe
// overwrites them. That is true of our own copies: what package crypto has expanded a
// key to is the garbage collector's, and whoever may read this process's memory can read
// them all. A frozen state is as secret as the keys in it: it belongs into no file, log,
// status or error.
package tlsrecord
