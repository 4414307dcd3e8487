// Package tlsrecord protects the bytes of a TLS connection whose handshake is done: it
// opens the records that have come, and seals what is to be sent.
package tlsrecord
