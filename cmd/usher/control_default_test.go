package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The users of these stories. Nobody has to have them.
const (
	someone   = 64231
	strangers = 64232
)

// user is somebody with a temporary folder, whose commands the test runs.
type user struct {
	t    *testing.T
	uid  uint32
	file *program
	tmp  string
}

// newUser needs root, which alone can be others.
func newUser(t *testing.T) *user {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	u := &user{t: t, uid: someone, file: install(t), tmp: shortDir(t)}
	for path, mode := range map[string]os.FileMode{filepath.Dir(u.file.path): 0o755, u.tmp: 0o777 | os.ModeSticky} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return u
}

// as is the same file and folder in another user's hands.
func (u *user) as(uid uint32) *user {
	other := *u
	other.uid = uid
	return &other
}

func (u *user) command(args ...string) (*exec.Cmd, string) {
	cmd, mark := u.file.command()
	cmd.Args = append(cmd.Args, args...)
	cmd.Dir = "/"
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, runtimeVariable+"=") })
	cmd.Env = append(cmd.Env, "TMPDIR="+u.tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: u.uid, Gid: u.uid}}
	return cmd, mark
}

// runs runs a command to its end.
func (u *user) runs(environ []string, args ...string) (stderr string, code int) {
	u.t.Helper()
	cmd, mark := u.command(args...)
	u.t.Cleanup(func() { killMarked(mark) })
	cmd.Env = append(cmd.Env, environ...)
	var said strings.Builder
	cmd.Stderr = &said
	_ = cmd.Run() // the status says all
	return said.String(), cmd.ProcessState.ExitCode()
}

func (u *user) serve(control string, args ...string) *server {
	u.t.Helper()
	cmd, mark := u.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--workers", "1"}, args...)...)
	s := launchAs(u.t, cmd, mark, control)
	s.awaitStart()
	return s
}

// Without XDG_RUNTIME_DIR the control socket is in a folder of the user's own in the
// temporary folder. A shell that has that variable finds it all the same, as one
// does a server that has its socket where an older usher puts it.
func TestControlDefaultIsFound(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	folder := filepath.Join(u.tmp, fmt.Sprintf("usher-%d", u.uid))
	for path, flags := range map[string][]string{
		filepath.Join(folder, "usher.sock"): nil,
		folder + ".sock":                    {"--control", folder + ".sock"},
	} {
		s := u.serve(path, flags...)
		if said, code := u.runs([]string{runtimeVariable + "=" + shortDir(t)}, "reload"); code != 0 {
			t.Errorf("usher reload without --control, of %s: exit status %d: %s", path, code, said)
		}
		s.until("one worker", ready(1))
		s.stop()
	}
	info, err := os.Lstat(folder)
	if err != nil || info.Mode() != os.ModeDir|0o700 || info.Sys().(*syscall.Stat_t).Uid != someone {
		t.Errorf("%v, %v; want a folder of mode 0700", info, err)
	}
	runtime := shortDir(t)
	said, code := u.runs([]string{runtimeVariable + "=" + runtime}, "status")
	for _, path := range []string{filepath.Join(runtime, "usher.sock"), filepath.Join(folder, "usher.sock"), folder + ".sock", "/tmp/usher-"} {
		if code != exitFailed || !strings.Contains(said, path) {
			t.Errorf("exit status %d: %q, want it to say that it tried %s", code, said, path)
		}
	}
}

// A folder that another user has put where one's own is to be is not taken.
func TestControlDefaultIsTaken(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make func(path string) error
		want string
	}{
		"by another user": {func(path string) error { return os.Mkdir(path, 0o777) }, "is of user 0, not of this one"},
		"by a symlink":    {func(path string) error { return os.Symlink("/tmp", path) }, "is a symlink"},
		"by a file":       {func(path string) error { return os.WriteFile(path, nil, 0o666) }, "is not a folder"},
		"open to others": {func(path string) error {
			return firstError(os.Mkdir(path, 0o700), os.Chown(path, someone, someone), os.Chmod(path, 0o770))
		}, "mode 0770; chmod it to 0700"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			if err := test.make(filepath.Join(u.tmp, fmt.Sprintf("usher-%d", u.uid))); err != nil {
				t.Fatal(err)
			}
			said, code := u.runs(nil, "serve", "--listen", "127.0.0.1:0")
			if code != exitFailed || !strings.Contains(said, test.want) || !strings.Contains(said, "--control") {
				t.Errorf("exit status %d: %q, want it to say %q and --control", code, said, test.want)
			}
		})
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Who answers on a path is to be this user, or root; root may ask anybody's.
func TestControlOfAnotherUser(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	control := filepath.Join(u.tmp, "c")
	s := u.as(strangers).serve(control, "--control", control)
	if err := os.Chmod(control, 0o666); err != nil {
		t.Fatal(err)
	}
	said, code := u.runs(nil, "reload", "--control", control)
	if want := fmt.Sprintf("process %d of user %d listens there", s.pid, strangers); code != exitFailed || !strings.Contains(said, want) {
		t.Errorf("exit status %d: %q, want it to say %q", code, said, want)
	}
	if status := s.now(); status.Generation != 1 {
		t.Errorf("generation %d, want 1: nothing was to be said to it", status.Generation)
	}
	if said, code := u.as(0).runs(nil, "reload", "--control", control); code != 0 {
		t.Errorf("root: exit status %d: %s", code, said)
	}
	s.until("one worker", ready(1))
	s.stop()

	root := u.as(0).serve(control, "--control", control)
	if err := os.Chmod(control, 0o666); err != nil {
		t.Fatal(err)
	}
	if said, code := u.runs(nil, "status", "--control", control); code != 0 {
		t.Errorf("root's server: exit status %d: %s", code, said)
	}
	if err := os.Chmod(control, 0o600); err != nil {
		t.Fatal(err)
	}
	said, code = u.runs(nil, "status", "--control", control)
	if code != exitFailed || !strings.Contains(said, "permission denied") || strings.Contains(said, "start one") {
		t.Errorf("exit status %d: %q, want that it is not permitted", code, said)
	}
	root.stop()
}

// A path that cannot be is told by its reason and what to do, at both ends.
func TestControlCannotBe(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	long := filepath.Join(dir, strings.Repeat("x", 120))
	got := usher(t, "serve", "--listen", "127.0.0.1:0", "--control", long)
	checkComplaint(t, got, exitFailed, long, "too long", "107 fit", "--control")
	checkComplaint(t, usher(t, "status", "--control", long), exitFailed, long, "too long", "107 fit", "--control")
	got = usher(t, "serve", "--listen", "127.0.0.1:0", "--control", filepath.Join(dir, "none", "c"))
	checkComplaint(t, got, exitFailed, "there is no folder "+filepath.Join(dir, "none"), "--control")

	cmd, mark := command("serve", "--listen", "127.0.0.1:0")
	t.Cleanup(func() { killMarked(mark) })
	cmd.Env = append(cmd.Env, runtimeVariable+"="+filepath.Join(dir, "gone"))
	said, err := cmd.CombinedOutput()
	if want := filepath.Join(dir, "gone") + ", which $" + runtimeVariable + " names"; err == nil || !strings.Contains(string(said), want) {
		t.Errorf("%v: %s, want it to say %q", err, said, want)
	}
}

// An answer that is late, from a stranger, is not waited for: the next path is tried.
func TestControlSquatted(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	old := filepath.Join(u.tmp, fmt.Sprintf("usher-%d.sock", u.uid))
	folder := filepath.Join(u.tmp, fmt.Sprintf("usher-%d", u.uid))
	squatter := u.as(strangers).serve(old, "--control", old)
	if err := unix.Chmod(old, 0o666); err != nil {
		t.Fatal(err)
	}
	said, code := u.runs(nil, "reload")
	if code != exitFailed || !strings.Contains(said, fmt.Sprintf("%s (process %d of user %d", old, squatter.pid, strangers)) {
		t.Errorf("exit status %d: %q, want it to name the stranger", code, said)
	}
	s := u.serve(filepath.Join(folder, "usher.sock"))
	if said, code := u.runs(nil, "reload"); code != 0 {
		t.Errorf("exit status %d: %s", code, said)
	}
	if status := squatter.now(); status.Generation != 1 {
		t.Errorf("the stranger's server is at generation %d", status.Generation)
	}
	s.until("one worker", ready(1))
	s.stop()
	squatter.stop()
}
