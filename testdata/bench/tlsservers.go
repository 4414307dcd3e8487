package main

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// The servers with TLS, each named as without. All have the same certificate, of ECDSA
// P-256, and choose TLS_AES_128_GCM_SHA256.
var (
	tlsReference = &server{name: reference.name, tls: true, argv: func(b *bench, port, workers int) []string {
		return []string{b.program("tlsepoll"), strconv.Itoa(port), strconv.Itoa(workers), b.certFile(), b.keyFile(), "TLS_AES_128_GCM_SHA256"}
	}}
	tlsUsher = &server{name: usher.name, tls: true, argv: func(b *bench, port, workers int) []string {
		return b.usherTLS(port, "--workers", strconv.Itoa(workers))
	}}
	// tlsCollecting collects its garbage by SIGUSR2.
	tlsCollecting = &server{name: usher.name, tls: true, argv: func(b *bench, port, workers int) []string {
		return b.usherTLS(port, "--workers", strconv.Itoa(workers), "--idle-timeout", "1h", "--", b.program("collecting"))
	}}
	tlsNet = &server{name: goNet.name, tls: true, argv: func(b *bench, port, _ int) []string {
		return []string{b.program("net"), strconv.Itoa(port), b.certFile(), b.keyFile()}
	}}
	tlsHTTP = &server{name: netHTTP.name, http: true, tls: true, argv: func(b *bench, port, _ int) []string {
		return []string{b.program("nethttp"), strconv.Itoa(port), b.certFile(), b.keyFile()}
	}}
	tlsNginx = &server{name: nginx.name, http: true, tls: true, argv: func(b *bench, port, workers int) []string {
		config := b.nginxConfig(port, workers, fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", b.certFile(), b.keyFile()))
		return []string{"nginx", "-p", b.scratch, "-e", "stderr", "-c", config}
	}}
)

func (b *bench) certFile() string { return filepath.Join(b.scratch, "cert.pem") }
func (b *bench) keyFile() string  { return filepath.Join(b.scratch, "key.pem") }

// usherTLS is usher at a tls:// address.
func (b *bench) usherTLS(port int, more ...string) []string {
	return append([]string{b.program("usher"), "serve", "--listen", "tls://127.0.0.1:" + strconv.Itoa(port),
		"--tls-cert", b.certFile(), "--tls-key", b.keyFile(), "--control", b.control(port)}, more...)
}

// control is the control socket of the usher at a port.
func (b *bench) control(port int) string {
	return filepath.Join(b.scratch, fmt.Sprintf("%d.sock", port))
}

// buildTLS makes the certificate, and the reference if OpenSSL is there to build with.
func (b *bench) buildTLS() error {
	if err := b.make(b.scratch, b.program("usher"), "tls", "self-signed", b.scratch); err != nil {
		return err
	}
	err := b.make(b.source, "gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", b.program("tlsepoll"), filepath.Join("c", "tlsepoll.c"), "-lssl", "-lcrypto")
	if err != nil {
		tlsReference.missing = "it does not build here (libssl-dev?)"
		b.say("%s with TLS: %v", reference.name, err)
	}
	return nil
}
