package main

import (
	"fmt"
	"strconv"
	"time"
)

// shake is one kind of handshake.
type shake struct {
	name, aim string
	conns     int
	args      []string
}

// several clients shake hands at a time: few enough that nearly all can resume in a slice.
const several = 16

var shakes = []shake{
	{"full handshake, TLS 1.3", "≤ 1.05", several, []string{"--tls-version=1.3", "--no-resume"}},
	{"resumed handshake, TLS 1.3", "≤ 1.05", several, []string{"--tls-version=1.3"}},
	{"full handshake, TLS 1.2", "as 1.3", several, []string{"--tls-version=1.2", "--no-resume"}},
	{"resumed handshake, TLS 1.2", "as 1.3", several, []string{"--tls-version=1.2"}},
	{"full handshake, TLS 1.3, one client at a time", "as several", 1, []string{"--tls-version=1.3", "--no-resume"}},
	{"resumed handshake, TLS 1.3, one client at a time", "as several", 1, []string{"--tls-version=1.3"}},
}

// tlsHandshakes compares what a handshake costs a server beyond what a connection costs
// that has none: connect, one exchange, close, with TLS and without, in the same round.
// What one exchange costs, which is another with net/http than with an echo, so is in
// neither.
func (b *bench) tlsHandshakes() error {
	servers := []*server{tlsHTTP, netHTTP, tlsUsher, usher, tlsReference, reference}
	if tlsReference.missing != "" {
		servers = servers[:4]
	}
	if b.also != nil {
		tlsAlso := &server{name: b.also.name, tls: true, argv: func(b *bench, port, workers int) []string {
			argv := tlsUsher.argv(b, port, workers)
			argv[0] = b.also.argv(b, port, workers)[0]
			return argv
		}}
		servers = append(servers, tlsAlso, b.also)
	}
	instances, err := b.runAll(servers, 1, oneCore)
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	for _, s := range shakes {
		all, err := b.inTurn(instances, b.rounds, func(i *instance) (sample, error) {
			args := []string{"--churn", "--conns", strconv.Itoa(s.conns), "--duration", b.slice.String()}
			if i.server.tls {
				args = append(args, s.args...)
			}
			return b.one(i, oneCore, args...)
		})
		if err != nil {
			return err
		}
		b.compareHandshakes(s, instances, all)
	}
	return nil
}

// compareHandshakes tells of instances in pairs, with TLS and without, of which net/http's
// is the first.
func (b *bench) compareHandshakes(s shake, instances []*instance, all [][]sample) {
	text := fmt.Sprintf("CPU of the server for a %s, ECDSA P-256, one core (and for connect, handshake, exchange, close):", s.name)
	for n := 0; n < len(instances); n += 2 {
		var alone, to, whole []float64
		for round := range all[n] {
			cost := func(n int) float64 { return float64(all[n][round].cpu - all[n+1][round].cpu) }
			alone, to = append(alone, cost(n)), append(to, cost(n)/cost(0))
			whole = append(whole, float64(all[n][round].cpu)/float64(all[0][round].cpu))
		}
		ratio := spreadOf(to)
		text += fmt.Sprintf(" %s %v (%v);", instances[n].server.name, time.Duration(spreadOf(alone).median).Round(time.Microsecond),
			time.Duration(median(all[n], perAnswer)).Round(time.Microsecond))
		if instances[n].server == tlsUsher {
			b.reached(s.name+", ECDSA P-256: CPU to net/http's", s.aim, ratio.String())
			b.say("  connect, handshake, exchange, close: %s", spreadOf(whole))
		}
	}
	b.figure("%s", text[:len(text)-1])
}
