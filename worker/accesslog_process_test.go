package worker_test

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/usher-go/usher/fdpass"
	"github.com/usher-go/usher/internal/leaktest"
	"github.com/usher-go/usher/ipc"
)

// A program of net/http takes its access log's file when it is ready, logs what it serves,
// answers when another file has come, and at its end has written all.
func TestAccessLogOfAProgram(t *testing.T) {
	leaktest.Descriptors(t)
	folder := t.TempDir()
	p := start(t, "access log", ipc.Version)
	if ready := next[ipc.Ready](p.rig); !ready.AccessLog {
		t.Fatalf("it says %+v", ready)
	}
	give := func(id uint64, name string) {
		t.Helper()
		file, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
		check(t, err)
		defer file.Close()
		packet, err := ipc.EncodeMessage(ipc.AccessLog{ID: id, Format: ipc.AccessJSON})
		check(t, err)
		raw, err := file.SyscallConn()
		check(t, err)
		check(t, raw.Control(func(fd uintptr) { err = p.tellWith(packet, int(fd)) }))
		check(t, err)
		if taken := next[ipc.AccessLogTaken](p.rig); taken.ID != id {
			t.Fatalf("it says %+v, want %d", taken, id)
		}
	}
	client, _ := p.httpClient()
	get := func(path string) {
		t.Helper()
		answer, err := client.Get("http://worker" + path)
		check(t, err)
		_, err = io.Copy(io.Discard, answer.Body)
		check(t, err)
		check(t, answer.Body.Close())
	}
	give(1, "one")
	get("/1")
	get("/2")
	give(2, "two")
	get("/3")
	p.tell(ipc.AccessLog{ID: 3}) // none any more
	if taken := next[ipc.AccessLogTaken](p.rig); taken.ID != 3 {
		t.Fatalf("it says %+v", taken)
	}
	get("/4")
	give(4, "two")
	get("/5")
	client.CloseIdleConnections()
	p.tell(ipc.Drain{Mode: ipc.DrainFinish})
	p.expectExit(0)
	for name, want := range map[string]string{"one": "/1 /2", "two": "/3 /5"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		check(t, err)
		var uris []string
		for line := range strings.Lines(string(text)) {
			var request struct {
				URI    string
				Status int
				Bytes  int
			}
			check(t, json.Unmarshal([]byte(line), &request))
			if request.Status != 200 || request.Bytes != 13 {
				t.Errorf("%s", line)
			}
			uris = append(uris, request.URI)
		}
		if got := strings.Join(uris, " "); got != want {
			t.Errorf("file %s has %q, want %q", name, got, want)
		}
	}
}

// tellWith sends a packet on control with a descriptor, borrowed.
func (s *rig) tellWith(packet []byte, fd int) error {
	raw, err := s.control.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(control uintptr) bool {
		sent = new(fdpass.Sender).Send(int(control), packet, []int{fd})
		return true // one try
	})
	if err == nil {
		err = sent
	}
	return err
}
