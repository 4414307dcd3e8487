package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// Each topic, and each setting, is explained in the words of its page.
func TestHelpTopics(t *testing.T) {
	names := make([]string, 0, len(topics)+len(settings))
	for _, topic := range topics {
		names = append(names, topic.name)
	}
	for i := range settings {
		names = append(names, settings[i].key, "--"+settings[i].key)
	}
	for _, name := range names {
		if blocks, err := explain(name); err != nil || len(blocks) == 0 {
			t.Errorf("%s: %d blocks, %v", name, len(blocks), err)
		}
	}
	topic, _ := explain("workers") // it was there
	setting, _ := explain("--workers")
	if len(topic) <= len(setting) {
		t.Error("a topic is not told from the setting of its name")
	}
}

// usher help, as it is typed: with the width of a terminal, without a topic, and with one
// that there is not.
func TestHelpCommand(t *testing.T) {
	t.Parallel()
	list := usher(t, "help")
	for _, topic := range topics {
		if !strings.Contains(list.stdout, "  "+topic.name+" ") {
			t.Errorf("usher help does not list %s", topic.name)
		}
	}
	for _, test := range []struct {
		args  []string
		width int
		says  string
	}{
		{[]string{"help"}, plainWidth, "\nusher help TOPIC explains\n"},
		{[]string{"help", "signals"}, 40, "\nUSR2\n    usher upgrade: the master"},
	} {
		cmd, mark := command(test.args...)
		t.Cleanup(func() { killMarked(mark) })
		cmd.Env = append(cmd.Env, fmt.Sprintf("COLUMNS=%d", test.width))
		out, err := cmd.Output()
		if err != nil || !bytes.Contains(out, []byte(test.says)) {
			t.Errorf("usher %v: %v\n%s", test.args, err, out)
		}
		for line := range bytes.Lines(out) {
			if len(bytes.TrimSpace(line)) > test.width {
				t.Errorf("usher %v: longer than the terminal is wide: %q", test.args, line)
			}
		}
	}
	if got := usher(t, "help", "nothing"); got.code != exitUsage || !strings.Contains(got.stderr, "usher help lists what there is") {
		t.Errorf("usher help nothing: %+v", got)
	}
}

// usher help COMMAND is usher COMMAND --help, but for what is a topic, or a setting, too.
func TestHelpOfCommands(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"serve", "status", "bench", "bench http", "logs reopen", "tls self-signed", "completion"} {
		words := strings.Fields(command)
		got, want := usher(t, append([]string{"help"}, words...)...), usher(t, append(words, "--help")...)
		if got != want || got.code != 0 || !strings.Contains(got.stdout, "Usage: usher "+command) {
			t.Errorf("usher help %s: %+v", command, got)
		}
	}
	for name, want := range map[string]string{"reload": "Put the new program", "config": "Configuration file"} {
		got := usher(t, "help", name)
		if got.code != 0 || !containsAll(got.stdout, want, "The flags of the command: usher "+name+" --help") {
			t.Errorf("usher help %s: %+v", name, got)
		}
	}
	if got := usher(t, "help", "--config"); strings.Contains(got.stdout, "flags of the command") {
		t.Errorf("usher help --config: %+v", got)
	}
	for _, none := range []string{"bench-part", "bench nothing", "signals serve", "logs reopen now"} {
		if got := usher(t, append([]string{"help"}, strings.Fields(none)...)...); got.code != exitUsage {
			t.Errorf("usher help %s: %+v", none, got)
		}
	}
}

// usher man has every setting and command, and groff has nothing to say against it.
func TestManPage(t *testing.T) {
	t.Parallel()
	got := usher(t, "man")
	if got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for i := range settings {
		if want := strings.ReplaceAll(settings[i].synopsis(), "-", `\-`); !strings.Contains(got.stdout, want) {
			t.Errorf("it has no %s", settings[i].synopsis())
		}
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip("there is no groff here, which would read it")
	}
	cmd := exec.Command("groff", "-man", "-ww", "-Tutf8", "-z")
	cmd.Stdin = strings.NewReader(got.stdout)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("groff: %v\n%s", err, out)
	}
}
