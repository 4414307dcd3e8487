package master

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/usher-go/usher/ipc"
)

// ask asks the control API as a client does, and returns the status and the answer.
func ask(api http.Handler, method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, strings.TrimSpace(w.Body.String())
}

// levelStory runs a story of a master that logs what is at least a warning, and of two
// workers that log what is at least info. levels returns what it answers: the master's level,
// the configured one, and the workers', by slot.
func levelStory(t *testing.T, asks []string, story func(fm *fakeMaster, levels func(method, body string) []string)) {
	synctest.Test(t, func(t *testing.T) {
		fm := &fakeMaster{workers: 2, asks: asks}
		fm.start(4, func(c *Config) {
			c.LogLevel, c.Settings = hclog.Warn, []Setting{{Key: "log-level", Value: "warn", Source: FromFlag}, {Key: "workers", Value: 2, Source: FromDefault}}
			c.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: new(bytes.Buffer)})
		})
		synctest.Wait()
		api := newAPI(fm.supervisor)
		story(fm, func(method, body string) []string {
			t.Helper()
			synctest.Wait()
			code, text := ask(api, method, "/v1/log-level", body)
			var answer LogLevels
			if err := json.Unmarshal([]byte(text), &answer); err != nil || code != http.StatusOK {
				t.Fatalf("%d: %s", code, text)
			}
			levels := []string{answer.Level, answer.Configured}
			for _, w := range answer.Workers {
				levels = append(levels, w.Level)
			}
			for _, w := range answer.Unanswered {
				levels = append(levels, w.Error)
			}
			return levels
		})
		fm.look(func() { fm.stop(stopQuick) })
		if err := errors.Join(<-fm.ended, fm.check()); err != nil {
			t.Error(err)
		}
	})
}

func expectLevels(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A level that was asked for is that of workers that start later, too, until a reload
// changes what is configured.
func TestLogLevelLasts(t *testing.T) {
	levelStory(t, []string{ipc.AskLogLevel}, func(fm *fakeMaster, levels func(method, body string) []string) {
		reload := func() {
			done := make(chan outcome, 1)
			fm.inbox.Put(reloadRequest{done})
			if result := <-done; result.err != nil {
				t.Fatal(result.err)
			}
			time.Sleep(time.Second) // on the fake clock: what is asked for in passing is done
		}
		expectLevels(t, "at first", levels("GET", ""), "warn", "warn", "info", "info")
		expectLevels(t, "all", levels("POST", `{"level":"debug"}`), "debug", "warn", "debug", "debug")
		expectLevels(t, "one worker", levels("POST", `{"level":"trace","worker":1}`), "debug", "warn", "debug", "trace")
		expectLevels(t, "the master", levels("POST", `{"level":"error","master":true}`), "error", "warn", "debug", "trace")
		if _, text := ask(newAPI(fm.supervisor), "GET", "/v1/config", ""); !strings.Contains(text, `{"key":"log-level","value":"error","source":"change","configured":"warn"}`) {
			t.Errorf("the configuration in force is %s", text)
		}
		fm.look(func() { fm.scaleOne(+1) })
		time.Sleep(time.Second)
		expectLevels(t, "one more worker", levels("GET", ""), "error", "warn", "debug", "trace", "debug")
		if _, text := ask(newAPI(fm.supervisor), "GET", "/v1/config", ""); !strings.Contains(text, `{"key":"workers","value":3,"source":"change","configured":2}`) {
			t.Errorf("the configuration in force is %s", text)
		}
		reload()
		expectLevels(t, "a reload that changes nothing", levels("GET", "")[:3], "error", "warn", "debug")
		expectLevels(t, "as configured", levels("POST", `{"level":"default"}`), "warn", "warn", "info", "info", "info")
		levels("POST", `{"level":"debug"}`)
		fm.look(func() { fm.rewrite = func(c *Config) { c.LogLevel = hclog.Error } })
		reload()
		expectLevels(t, "a reload that changes it", levels("GET", "")[:3], "error", "error", "info")
	})
}

// Workers that cannot are named; the master's own is set all the same.
func TestLogLevelOfOthers(t *testing.T) {
	levelStory(t, nil, func(_ *fakeMaster, levels func(method, body string) []string) {
		expectLevels(t, "all", levels("POST", `{"level":"debug"}`), "debug", "warn", errNotAsked.Error(), errNotAsked.Error())
	})
}

func TestLogLevelBadly(t *testing.T) {
	levelStory(t, []string{ipc.AskLogLevel}, func(fm *fakeMaster, _ func(method, body string) []string) {
		for _, test := range []struct {
			body string
			code int
			err  string
		}{
			{`{}`, 400, "want one of trace, debug, info, warn, error, default"},
			{``, 400, "want one of"},
			{`{"level":"loud"}`, 400, "want one of"},
			{`{"level":"DEBUG"}`, 400, "want one of"},
			{`{"level":"debug","worker":-1}`, 400, "want worker, a slot"},
			{`{"level":"debug","worker":0,"master":true}`, 400, "or neither"},
			{`{"level":"debug","worker":7}`, 409, "there is no worker in slot 7"},
			{`{"level":"debug","worker":"all"}`, 400, "bad request"},
			{`{"level":"debug","who":1}`, 400, "unknown field"},
			{`{"level":`, 400, "bad request"},
		} {
			if code, text := ask(newAPI(fm.supervisor), "POST", "/v1/log-level", test.body); code != test.code || !strings.Contains(text, test.err) {
				t.Errorf("%s: %d %s, want %d %s", test.body, code, text, test.code, test.err)
			}
		}
		fm.look(func() {
			if level := fm.log.GetLevel(); level != hclog.Warn {
				t.Errorf("the level is %v", level)
			}
		})
	})
}
