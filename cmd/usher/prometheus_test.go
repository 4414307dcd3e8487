package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// prometheus is a running Prometheus, as Debian has it, with an empty memory.
type prometheus struct {
	t       *testing.T
	url     string
	file    string            // of what it scrapes
	targets map[string]string // addresses, by what their instance is called
	log     *transcript
}

// startPrometheus starts one that scrapes whatever it is told to watch, and evaluates rules,
// at a pace. It skips the test where there is none to be had.
func startPrometheus(t *testing.T, pace time.Duration, rules string) *prometheus {
	t.Helper()
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus (Debian's package of that name) is not installed: ", err)
	}
	dir := t.TempDir()
	p := &prometheus{t: t, file: filepath.Join(dir, "targets.json"), targets: make(map[string]string)}
	p.write()
	config := filepath.Join(dir, "prometheus.yml")
	writeFile(t, filepath.Join(dir, "rules.yml"), rules)
	writeFile(t, config, fmt.Sprintf(`global: {scrape_interval: %[1]v, scrape_timeout: %[1]v, evaluation_interval: %[1]v}
rule_files: [rules.yml]
scrape_configs: [{job_name: usher, file_sd_configs: [{files: [targets.json]}]}]
`, pace))
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	var write *os.File
	write, p.log = newTranscript(t)
	cmd.Stderr = write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close() // the child has it now
	t.Cleanup(func() {
		_ = cmd.Process.Signal(unix.SIGTERM) // it may have ended
		timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // what it says is no part of a story
		timer.Stop()
		p.log.waitEnd(limit)
		if t.Failed() {
			t.Logf("Prometheus said:\n%s", strings.Join(p.log.with("level=error"), "\n"))
		}
	})
	_, address, _ := strings.Cut(p.log.await(t, 1, `msg="Listening on"`), "address=")
	p.url = "http://" + address
	p.log.await(t, 1, "ready to receive web requests")
	return p
}

// watch has it scrape an address from now on: Prometheus looks each 5 s for what is new.
func (p *prometheus) watch(instance, address string) {
	p.t.Helper()
	p.targets[instance] = address
	p.write()
}

func (p *prometheus) write() {
	p.t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for instance, address := range p.targets {
		groups = append(groups, group{[]string{address}, map[string]string{"instance": instance}})
	}
	text, err := json.Marshal(groups)
	if err == nil {
		err = os.WriteFile(p.file+".new", text, 0o600)
	}
	if err := errors.Join(err, os.Rename(p.file+".new", p.file)); err != nil {
		p.t.Fatal(err)
	}
}

// allScraped waits until each target has answered.
func (p *prometheus) allScraped() {
	p.t.Helper()
	until(p.t, "all are scraped", func() (bool, string) {
		up, err := p.query("up == 1")
		return err == nil && len(up) == len(p.targets), fmt.Sprintf("%d of %d: %v, %v", len(up), len(p.targets), up, err)
	})
}

// series is values of one set of labels.
type series struct {
	Metric map[string]string `json:"metric"`
	Value  scraped           `json:"value"`  // of an instant
	Values []scraped         `json:"values"` // of a range, in the order of time
}

func (s *series) String() string {
	labels := make([]string, 0, len(s.Metric))
	for _, name := range slices.Sorted(maps.Keys(s.Metric)) {
		if name != "__name__" && name != "job" && name != "instance" {
			labels = append(labels, fmt.Sprintf("%s=%q", name, s.Metric[name]))
		}
	}
	return s.Metric["__name__"] + "{" + strings.Join(labels, ",") + "}"
}

// scraped is a value, and its time in seconds since 1970.
type scraped struct{ at, value float64 }

// UnmarshalJSON reads the pair that the API makes of it: the value is a string.
func (s *scraped) UnmarshalJSON(text []byte) error {
	var value string
	err := json.Unmarshal(text, &[]any{&s.at, &value})
	if err == nil {
		s.value, err = strconv.ParseFloat(value, 64)
	}
	return err
}

// query evaluates an expression now.
func (p *prometheus) query(expr string) ([]series, error) {
	var data struct {
		Result []series `json:"result"`
	}
	err := p.get("/api/v1/query?query="+url.QueryEscape(expr), &data)
	return data.Result, err
}

// ask is query, which must succeed.
func (p *prometheus) ask(expr string) []series {
	p.t.Helper()
	result, err := p.query(expr)
	if err != nil {
		p.t.Fatalf("%s: %v", expr, err)
	}
	return result
}

// get reads an answer of the API.
func (p *prometheus) get(path string, into any) error {
	client := &http.Client{Timeout: answerTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(p.url + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return errors.New(answer.Error)
	}
	return json.Unmarshal(answer.Data, into)
}
