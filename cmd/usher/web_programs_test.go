package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// webProgram is a client that is a program. It asks some times, over connections that it
// keeps, and ends; and is started again.
type webProgram struct {
	name string
	args []string       // @URL stands for where
	good *regexp.Regexp // what it says if all went well, and how many requests that were
	bad  *regexp.Regexp // what it says if not; nil: it fails
	asks int64          // how many requests, if it does not say so; else 0
}

const pythonWeb = `
import http.client, sys, urllib.parse
c = http.client.HTTPConnection(urllib.parse.urlsplit(sys.argv[1]).netloc, timeout=60)
c.auto_open = 0
c.connect()
for n in range(200):
    c.request("POST", "/sum", body=b"x" * n) if n % 2 else c.request("GET", "/")
    r = c.getresponse()
    assert r.status == 200 and not r.will_close, (r.status, r.will_close)
    body = r.read()
    assert body.startswith(b"%d " % n if n % 2 else b"hello"), body
print(200, "asked")
`

const nodeWeb = `
const http = require('http');
const agent = new http.Agent({keepAlive: true, maxSockets: 1});
const sockets = new Set();
function ask(n) {
  if (n === 200) {
    agent.destroy();
    if (sockets.size !== 1) throw new Error(sockets.size + ' connections');
    console.log(n, 'asked');
    return;
  }
  const body = 'x'.repeat(n);
  const r = http.request(process.argv[1] + (n % 2 ? 'sum' : ''), {agent, method: n % 2 ? 'POST' : 'GET'}, (a) => {
    let text = '';
    a.on('data', (d) => text += d);
    a.on('end', () => {
      if (a.statusCode !== 200 || !text.startsWith(n % 2 ? n + ' ' : 'hello')) throw new Error(a.statusCode + text);
      setImmediate(ask, n + 1);
    });
  });
  r.on('socket', (s) => sockets.add(s));
  r.end(n % 2 ? body : undefined);
}
ask(0);
`

// webPrograms are those that there may be.
func webPrograms() []webProgram {
	return []webProgram{
		{"curl", []string{"curl", "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "60", "--output", "/dev/null",
			"--write-out", "%{stderr}%{num_connects}\n", "@URL?[1-200]"},
			regexp.MustCompile(`^1\n(?:0\n){199}()$`), nil, 200},
		{"wrk", []string{"wrk", "-t1", "-c10", "-d1s", "@URL"}, regexp.MustCompile(`(\d+) requests in`), regexp.MustCompile(`Socket errors|Non-2xx`), 0},
		{"h2load", []string{"h2load", "--h1", "-n1000", "-c10", "@URL"},
			regexp.MustCompile(`(\d+) succeeded, 0 failed, 0 errored, 0 timeout`), regexp.MustCompile(`, [1-9]\d* [345]xx`), 0},
		{"ab", []string{"ab", "-q", "-k", "-n1000", "-c10", "@URL"}, regexp.MustCompile(`Complete requests: +(\d+)\nFailed requests: +0\n`), regexp.MustCompile(`Non-2xx`), 0},
		{"python3", []string{"python3", "-c", pythonWeb, "@URL"}, regexp.MustCompile(`(\d+) asked`), nil, 0},
		{"node", []string{"node", "-e", nodeWeb, "@URL"}, regexp.MustCompile(`(\d+) asked`), nil, 0},
	}
}

// webChorus is the programs that there are.
type webChorus struct {
	done  atomic.Bool
	group sync.WaitGroup
	names []string
	asked []atomic.Int64
}

// startWebPrograms has each program ask a server again and again.
func startWebPrograms(t *testing.T, address string) *webChorus {
	t.Helper()
	programs := webPrograms()
	c := &webChorus{asked: make([]atomic.Int64, len(programs))}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { // if the story did not come to its end
		cancel()
		c.group.Wait()
	})
	for i, p := range programs {
		c.names = append(c.names, p.name)
		path, err := exec.LookPath(p.args[0])
		if err != nil {
			t.Logf("without %s: it is not here", p.name)
			continue
		}
		c.group.Go(func() {
			for first := true; (first || !c.done.Load()) && !t.Failed(); first = false {
				n, err := p.run(ctx, path, "http://"+address+"/")
				if c.asked[i].Add(n); err != nil {
					t.Errorf("%s: %v", p.name, err)
				}
			}
		})
	}
	return c
}

// run runs it once, and returns how many requests it says were answered.
func (p *webProgram) run(ctx context.Context, path, url string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var args []string
	for _, arg := range p.args[1:] {
		args = append(args, strings.ReplaceAll(arg, "@URL", url))
	}
	cmd := exec.CommandContext(ctx, path, args...)
	output, err := cmd.CombinedOutput()
	match := p.good.FindSubmatch(output)
	if err != nil || match == nil || p.bad != nil && p.bad.Match(output) {
		return 0, errors.Join(err, fmt.Errorf("says %s", output))
	}
	if p.asks > 0 {
		return p.asks, nil
	}
	return strconv.ParseInt(string(match[1]), 10, 64)
}

// finish lets each come to its end, and returns how often they asked.
func (c *webChorus) finish() string {
	c.done.Store(true)
	c.group.Wait()
	var said []string
	for i, name := range c.names {
		if n := c.asked[i].Load(); n > 0 {
			said = append(said, fmt.Sprintf("%s %d", name, n))
		}
	}
	return strings.Join(said, ", ")
}
