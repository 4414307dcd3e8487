package main

import "fmt"

// http compares the throughput of HTTP servers, on a core of their own.
func (b *bench) http() error {
	idle, err := b.idlers()
	defer idle()
	if err != nil {
		return err
	}
	instances, err := b.runAll(httpServers, 1, cores{0})
	defer func() { endAll(instances) }()
	if err != nil {
		return err
	}
	all, err := b.interleave(instances, cores{1}, "--conns=50")
	if err != nil {
		return err
	}
	text := "HTTP, 50 connections, requests per second to plain net/http's:"
	for n, i := range instances {
		s := ratios(all[n], all[0], perSecond)
		if i.server == streamHTTP {
			b.reached("HTTP by net/http over worker.Streams: throughput to that of plain net/http", "≥ 0.95", s.String())
		}
		text += fmt.Sprintf(" %s %.2f (CPU per request %.2f);", i.server.name, s.median, ratios(all[n], all[0], perAnswer).median)
	}
	for _, s := range httpServers {
		if s.missing != "" {
			text += fmt.Sprintf(" %s: %s;", s.name, s.missing)
		}
	}
	b.figure("%s", text[:len(text)-1])
	return nil
}
