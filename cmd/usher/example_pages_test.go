package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What docs/configuration.md begins with sets what it says, from where it says: the flag,
// the variable and the file.
func TestConfigurationExamples(t *testing.T) {
	t.Parallel()
	blocks := pageBlocks(t, "docs/configuration.md")
	sources := map[string]string{"usher serve --drain-timeout 1m": "flag", "USHER_DRAIN_TIMEOUT=1m usher serve": "environment"}
	lines := commandLines(blocks["sh"][0])
	if len(lines) != len(sources) {
		t.Fatalf("%q", lines)
	}
	for _, line := range lines {
		environ, flags, _ := strings.Cut(line, "usher serve")
		cmd, mark := command()
		cmd.Env = append(cmd.Env, strings.Fields(environ)...)
		s := serveCommandLine(t, cmd, mark, append(strings.Fields(flags), "--workers", "1")...)
		if got, want := s.setting("drain-timeout"), (settingInForce{"1m0s", sources[line]}); got != want {
			t.Errorf("%s: %+v, want %+v", line, got, want)
		}
		s.stop()
	}

	dir := t.TempDir()
	script(t, filepath.Join(dir, "echo"), "#!/bin/sh\n") // it is only looked for
	file := blocks["toml"][0]
	first, _, _ := strings.Cut(file, "\n")
	flags, ok := strings.CutPrefix(first, "# usher serve ")
	if !ok {
		t.Fatalf("the file begins with %q", first)
	}
	writeFile(t, filepath.Join(dir, "usher.toml"), strings.Replace(file, "/run/", dir+"/", 1))
	cmd, mark := command(append([]string{"check"}, strings.Fields(flags)...)...)
	cmd.Dir = dir
	t.Cleanup(func() { killMarked(mark) })
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "./echo") {
		t.Errorf("%s: %v\n%s", first, err, out)
	}
}

type settingInForce struct{ Value, Source string }

// setting asks for one that is in force.
func (s *server) setting(key string) settingInForce {
	s.t.Helper()
	got := s.ask("config", "--json")
	var answer struct {
		Settings []struct {
			Key, Source string
			Value       any
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &answer); got.code != 0 || err != nil {
		s.t.Fatalf("%+v, %v", got, err)
	}
	for _, setting := range answer.Settings {
		if value, isText := setting.Value.(string); setting.Key == key && isText {
			return settingInForce{value, setting.Source}
		}
	}
	s.t.Fatalf("no %s in %s", key, got.stdout)
	return settingInForce{}
}

// The commands of docs/performance.md put their load on servers, for less time and with
// fewer connections, and every answer is right.
func TestLoadGeneratorPage(t *testing.T) {
	t.Parallel()
	echo, other := serve(t, "--app", "echo", "--workers", "1"), serve(t, "--app", "echo", "--workers", "1")
	_, secure := secureFlags(t)
	encrypted := serve(t, append(secure, "--app", "echo", "--workers", "1")...)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // all of it first: net/http reads no more behind an answer that has begun
		_, _ = w.Write(body)          // the client sees what it lacks
	}))
	t.Cleanup(web.Close)
	change := strings.NewReplacer(
		"127.0.0.1:8888", echo.address, "127.0.0.1:9999", other.address, "127.0.0.1:8080", web.Listener.Addr().String(),
		"db.example:8889", encrypted.until("all are ready", ready(1)).Listeners[1].Address+" --insecure",
		"--idle 10000", "--idle 100", "--duration 5s", "", "--rate 5000", "--rate 500")
	lines := commandLines(pageBlocks(t, "docs/performance.md")["sh Load generator"][0])
	if len(lines) < 7 {
		t.Errorf("%q", lines)
	}
	for _, line := range lines {
		words := strings.Fields(change.Replace(line))
		if words[0] != "usher" || slices.Equal(words, strings.Fields(line)) {
			t.Fatalf("%s: of another server", line)
		}
		if got := usher(t, append(words[1:], "--duration", "200ms")...); got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "answers") {
			t.Errorf("%q: %+v", words, got)
		}
	}
	for _, s := range []*server{echo, other, encrypted} {
		s.until("all are gone", empty)
		s.stop()
	}
}
