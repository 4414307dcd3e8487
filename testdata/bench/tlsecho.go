package main

import (
	"fmt"
	"time"
)

// tlsEcho compares the CPU that servers use for an answer over TLS.
func (b *bench) tlsEcho() error {
	if tlsReference.missing != "" {
		b.figure("echo over TLS: %s: %s", tlsReference.name, tlsReference.missing)
		return nil
	}
	instances, err := b.runAll([]*server{tlsReference, tlsUsher, tlsNet}, 1, oneCore)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	for _, c := range []echoCase{
		{"64 B, 50 connections", "≤ 1.03", []string{"--conns=50"}},
		{"16 KiB, 50 connections", "≤ 1.03", []string{"--conns=50", "--size=16KiB"}},
		{"64 B, 50 connections, 16 pipelined", "", []string{"--conns=50", "--pipeline=16"}},
	} {
		all, err := b.inTurn(instances, b.rounds, func(i *instance) (sample, error) { return b.steady(i, c.args) })
		if err != nil {
			return err
		}
		b.compare(instances, all, "TLS 1.3: CPU/echo, "+c.name, perAnswer, func(name string, s spread) {
			if name == usher.name && c.aim != "" {
				b.reached("TLS 1.3, AES-128-GCM: CPU per echo, one core, "+c.name+", to C with OpenSSL", c.aim, s.String())
			}
		})
		b.figure("CPU per echo of the reference with OpenSSL, TLS 1.3, %s: %v", c.name, time.Duration(median(all[0], perAnswer)).Round(10*time.Nanosecond))
	}
	return nil
}

// steady takes a slice, without the handshakes with which it begins: what they cost a
// slice tells that has one request on each connection and then ends.
func (b *bench) steady(i *instance, args []string) (sample, error) {
	begun, err := b.one(i, oneCore, append(args, "--pipeline=1", "--requests=50", "--tls-version=1.3")...)
	if err != nil {
		return sample{}, err
	}
	whole, err := b.one(i, oneCore, append(args, "--tls-version=1.3", "--duration", b.slice.String())...)
	if err != nil {
		return sample{}, err
	}
	if len(whole.TLS.Sessions) != 1 || whole.TLS.Sessions["TLS 1.3, TLS_AES_128_GCM_SHA256"] == 0 {
		return sample{}, fmt.Errorf("%s: not one suite: %v", i.server.name, whole.TLS.Sessions)
	}
	whole.Answers -= begun.Answers
	return newSample(whole.Report, whole.used-begun.used), nil
}
