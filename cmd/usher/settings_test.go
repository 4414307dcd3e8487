package main

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/usher-go/usher/internal/certtest"
	"github.com/usher-go/usher/master"
	"golang.org/x/crypto/ocsp"
)

// A row is all that makes a setting: a flag with help, a variable, a key of the file
// that is checked, a section of the page, and something that a reload may not change.
func TestARowMakesASetting(t *testing.T) {
	withoutVariables(t)
	fields := make(map[*values]*time.Duration)
	row := &setting{
		key: "probe-pause", fixed: true, byDefault: "5s",
		help: "How long the probe waits.",
		field: func(v *values) any {
			if fields[v] == nil {
				fields[v] = new(time.Duration)
			}
			return fields[v]
		},
	}
	settings = append(settings, row)
	defer func() { settings = settings[:len(settings)-1] }()
	file := filepath.Join(t.TempDir(), "usher.toml")
	for _, command := range []string{"serve", "check"} {
		t.Run(command, func(t *testing.T) {
			pause := func(want time.Duration, args ...string) *reading {
				t.Helper()
				r := mustRead(t, append([]string{command}, args...)...)
				if got := *fields[&r.values]; got != want {
					t.Errorf("%q: %v, want %v", args, got, want)
				}
				return r
			}
			start := pause(5 * time.Second)
			pause(1*time.Second, "--probe-pause=1s")
			writeFile(t, file, "probe-pause = \"2s\"\n")
			next := pause(2*time.Second, "--config", file)
			if err := start.values.allows(&next.values); err == nil || !strings.Contains(err.Error(), "probe-pause cannot change by a reload") {
				t.Errorf("a reload that changes it: %v", err)
			}
			t.Setenv("USHER_PROBE_PAUSE", "3s")
			pause(3*time.Second, "--config", file)

			help := helpOf(t, command)
			for _, want := range []string{"--probe-pause=5s", "How long the probe waits ($USHER_PROBE_PAUSE)."} {
				if !strings.Contains(help, want) {
					t.Errorf("--help is without %q:\n%s", want, help)
				}
			}
			writeFile(t, file, "probe-pause = 2\n")
			_, err := newSources([]string{command, "--config", file}).read()
			if want := file + `:1: probe-pause is 2, want a duration such as "30s" or "1h30m"`; err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
	page := settingsPage()
	for _, want := range []string{"### probe-pause", "How long the probe waits.", "`--probe-pause`", "`USHER_PROBE_PAUSE`", "`5s`"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page is without %q", want)
		}
	}
}

// helpOf returns what a command's --help prints, with the spaces of a line that is not
// broken.
func helpOf(t *testing.T, command string) string {
	t.Helper()
	context := mustRead(t, command).context
	var help bytes.Buffer
	context.Stdout = &help
	if err := context.PrintUsage(false); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(help.String()), " ")
}

// Each setting has its own key and place, is told of in --help, and has a default that
// is as good as what is set.
func TestSettingsAreWhole(t *testing.T) {
	withoutVariables(t)
	r := mustRead(t, "serve")
	help := helpOf(t, "serve")
	keys, places := make(map[string]bool), make(map[any]string)
	for _, row := range settings {
		t.Run(row.key, func(t *testing.T) {
			if keys[row.key] {
				t.Error("there are two of this key")
			}
			keys[row.key] = true
			place := row.field(&r.values)
			if other := places[place]; other != "" {
				t.Errorf("its value goes where that of %s does", other)
			}
			places[place] = row.key
			if !strings.HasSuffix(row.help, ".") || row.more != "" && !strings.HasSuffix(row.more, ".") {
				t.Error("its help is no sentence")
			}
			if !strings.Contains(help, strings.Join(strings.Fields(strings.TrimSuffix(row.help, ".")), " ")) {
				t.Error("--help does not have its help")
			}
			if _, number := place.(*int); number != (row.unit != "") {
				t.Errorf("it counts %q; a number has a unit, and nothing else has", row.unit)
			}
			if row.computed == nil && row.byDefault != "" && row.mismatch(tomlValue(row, row.byDefault)) != "" {
				t.Errorf("its default %s is none that the file may have", row.byDefault)
			}
			if found := inFile(row.key) != nil; found == row.beforeFile {
				t.Errorf("the file may have it: %v", found)
			}
		})
	}
}

// tomlValue returns a value as package toml has it.
func tomlValue(row *setting, text string) any {
	switch row.field(new(values)).(type) {
	case *int:
		return int64(0) // whichever
	case *[]string:
		return []any{text}
	}
	return text
}

// Which numbers a setting takes the row says as master.Config.Check does.
func TestSettingsWantWhatMasterWants(t *testing.T) {
	withoutVariables(t)
	for _, row := range settings {
		var probes []string // from low to high
		switch row.field(new(values)).(type) {
		case *int:
			probes = []string{"-1", "0", "1", "1000000"}
		case *byteSize:
			probes = []string{"-1", "1", "1MiB"}
		case *percentage:
			continue // it takes nothing else
		case *time.Duration:
			probes = []string{"-1s", "1s", "1h"}
		default:
			continue
		}
		t.Run(row.key, func(t *testing.T) {
			refused, taken := "", false
			for _, probe := range probes {
				s := newSources([]string{"check", "--workers=1", "--" + row.key + "=" + probe})
				r, err := s.read()
				if err != nil {
					t.Fatal(err)
				}
				_, err = r.config(s)
				wrong, is := errors.AsType[*master.ConfigError](err)
				if is && wrong.Key == row.key {
					_, refused, _ = strings.Cut(wrong.Problem, ", want ")
				}
				taken = taken || err == nil
			}
			if !strings.HasPrefix(refused, row.wants) || row.wants == "" || !taken {
				t.Errorf("the row wants %q, master %q", row.wants, refused)
			}
		})
	}
}

// A default may be left out, be written, or be 0 where that stands for it: to go from one
// to the other is no change.
func TestReloadMayWriteADefaultOut(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `workers = 1`)
	for _, lines := range [][]string{
		{`max-workers = 0`, `acceptors = 0`},
		{fmt.Sprintf(`max-workers = %d`, master.DefaultMaxWorkers), `acceptors = 1`},
		{`max-workers = 0`},
		{`acceptors = 0`},
		nil,
	} {
		t.Log(lines)
		s.write(append(lines, `workers = 1`)...)
		s.reload()
	}
	s.write(`workers = 1`, fmt.Sprintf(`max-workers = %d`, master.DefaultMaxWorkers+1), `acceptors = 2`)
	s.refusesReload("acceptors, max-workers cannot change by a reload")
	s.stop()
}

// A reload brings in force what is not fixed. What is fixed is named, and whatever else
// the file says then waits.
func TestReloadCannotChangeWhatIsFixed(t *testing.T) {
	t.Parallel()
	s := serveConfigured(t, `workers = 1`)
	good := map[string]string{
		"listen":  `["127.0.0.2:0"]`,
		"workers": "2",
		"program": fmt.Sprintf("[%q, %q, %q]", self(), "worker", "lines"),
		"app":     `"lines"`,
		"admin":   `"127.0.0.1:0"`,
	}
	several := tlsLines(t) // lines where one will not do
	several["root"] = []string{`app = "files"`, fmt.Sprintf("root = %q", t.TempDir())}
	several["list"] = append(several["root"], `list = true`)
	for _, row := range settings {
		if row.beforeFile {
			continue
		}
		value := good[row.key]
		if value == "" {
			value = row.kind().inFile(examples(row)[0])
		}
		lines := []string{row.key + " = " + value}
		if own := several[row.key]; own != nil {
			lines = own
		}
		switch {
		case row.fixed:
			lines = append(lines, `workers = 2`)
		case row.key != "workers":
			lines = append(lines, `workers = 1`)
		}
		if row.key != "program" {
			lines = append(lines, `program = []`) // a file must not lose it
		}
		if row.key != "tls-client-ca" {
			lines = append(lines, `tls-client-ca = ""`) // nor that
		}
		if row.key != "root" && row.key != "list" {
			lines = append(lines, `root = ""`) // nor that
		}
		t.Log(lines)
		s.write(lines...)
		if row.fixed {
			s.refusesReload(row.key+" cannot change by a reload", "stop the server and start it anew")
		} else {
			s.reload()
			s.until("no old worker is left", allReady)
		}
	}
	s.stop()
}

// tlsLines are good lines for the settings of TLS that name files, by the settings.
func tlsLines(t *testing.T) map[string][]string {
	t.Helper()
	dir := t.TempDir()
	ca := certtest.NewCA(t, "test CA")
	pair := ca.Issue(t, certtest.Want{Names: []string{"one.example"}})
	pair.Chain = append(pair.Chain, ca.Chain...)
	cert, key := pair.Write(t, dir, "one")
	authority, _ := ca.Write(t, dir, "ca")
	answer, err := ocsp.CreateResponse(ca.Chain[0], ca.Chain[0], ocsp.Response{
		Status: ocsp.Good, SerialNumber: pair.Chain[0].SerialNumber, ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour),
	}, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	ocspFile, ticketKeys := filepath.Join(dir, "one.ocsp"), filepath.Join(dir, "tickets")
	writeFile(t, ocspFile, string(answer))
	writeFile(t, ticketKeys, base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	both := []string{fmt.Sprintf("tls-cert = [%q]", cert), fmt.Sprintf("tls-key = [%q]", key)}
	return map[string][]string{
		"tls-cert": both, "tls-key": both,
		"tls-client-ca":   append(both[:2:2], fmt.Sprintf("tls-client-ca = %q", authority)),
		"tls-ocsp":        append(both[:2:2], fmt.Sprintf("tls-ocsp = [%q]", ocspFile)),
		"tls-ticket-keys": {fmt.Sprintf("tls-ticket-keys = %q", ticketKeys)},
	}
}
