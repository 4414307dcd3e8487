package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/usher-go/usher/master"
)

type statusCommand struct {
	Control string `default:"${control}" placeholder:"PATH" help:"Control socket of the server (${default})."`
	JSON    bool   `env:"" help:"Print one JSON object."`
}

// defaultControl returns where the control socket is unless --control says.
func defaultControl() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "usher.sock")
	}
	if uid := os.Getuid(); uid != 0 {
		return filepath.Join(os.TempDir(), "usher-"+strconv.Itoa(uid)+".sock")
	}
	return "/run/usher.sock"
}

// answerTimeout is how long a live master may take to answer.
const answerTimeout = 10 * time.Second

func (c *statusCommand) Run() error {
	body, err := get(c.Control, "/v1/status")
	if err != nil {
		return err
	}
	if c.JSON {
		_, err := os.Stdout.Write(body)
		return err
	}
	var status master.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("the master's answer: %w", err)
	}
	return printStatus(os.Stdout, status)
}

// get asks the master behind a control socket.
func get(control, path string) ([]byte, error) {
	client := http.Client{
		Timeout: answerTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", control)
			},
		},
	}
	response, err := client.Get("http://usher" + path)
	if err != nil {
		if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
			return nil, fmt.Errorf("no master answers on %s (%w); start one with usher serve, or name its socket with --control", control, dial.Err)
		}
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the master answers: %s", body)
	}
	return body, err
}

func printStatus(w io.Writer, s master.Status) error {
	fmt.Fprintf(w, "usher %s, master pid %d, generation %d\n", s.Version, s.PID, s.Generation)
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "listening on %s", l.Address)
		if l.Name != "" {
			fmt.Fprintf(w, " (%s)", l.Name)
		}
		fmt.Fprintln(w)
	}
	c := s.Connections
	fmt.Fprintf(w, "connections: %d active, %d queued, %d accepted, %d closed, %d refused, %d moved, %d lost\n\n",
		c.Active, c.Queued, c.Accepted, c.Closed, c.Refused, c.Moved, c.Lost)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "slot\tpid\tgeneration\tstate\tconnections\tqueued\treceived\trestarts\t")
	for _, worker := range s.Workers {
		fmt.Fprintf(table, "%d\t%d\t%d\t%s\t%d\t%d\t%d\t%d\t\n", worker.Slot, worker.PID, worker.Generation,
			worker.State, worker.Connections, worker.Queued, worker.Received, worker.Restarts)
	}
	return table.Flush()
}
