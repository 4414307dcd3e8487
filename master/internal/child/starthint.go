package child

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// HowToRaise is what an operator does about a limit of descriptors.
const HowToRaise = "ulimit -n in a shell, LimitNOFILE= in a unit of systemd"

// StartHint says what an operator can do about a program that does not start: what
// is wrong with the file at path, or that there is none. given is where the path was
// given, as in "check the path after --"; empty: nothing is said of that.
func StartHint(path, given string, err error) error {
	if given != "" {
		given = "; check " + given
	}
	switch {
	case errors.Is(err, exec.ErrNotFound) && isFile(path): // where a path with a slash would have led
		return fmt.Errorf("%w; did you mean ./%s?", err, filepath.Base(path))
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w%s", err, given)
	case errors.Is(err, unix.ENOENT):
		if hint := missingHint(path); hint != "" { // the file is there, and what it needs is not
			return fmt.Errorf("%w; %s", err, hint)
		}
		return fmt.Errorf("%w%s", err, given)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EISDIR):
		return fmt.Errorf("%w; %s", err, forbiddenHint(path))
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("%w; %s", err, formatHint(path))
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w; raise the limit: %s", err, HowToRaise)
	case errors.Is(err, unix.ETXTBSY):
		return fmt.Errorf("%w; it is being written: rename a finished file to it instead", err)
	}
	return err
}

// missingHint is for a file of which execve(2) says that it is not there.
func missingHint(path string) string {
	start, err := firstBytes(path)
	if err != nil {
		return ""
	}
	interpreter, script := interpreterOf(start)
	switch {
	case script && strings.HasSuffix(interpreter, "\r"):
		return fmt.Sprintf("its first line ends with CR LF, so that the interpreter after #! is %q: save it with LF alone", interpreter)
	case script:
		return fmt.Sprintf("the interpreter after #!, %s, is not there", interpreter)
	case isELF(start):
		return "the dynamic loader that it asks for is not there: was it built for another system?"
	}
	return ""
}

// forbiddenHint is for a file that may not be executed.
func forbiddenHint(path string) string {
	start, err := firstBytes(path)
	interpreter, script := interpreterOf(start)
	if err == nil && script && unix.Access(path, unix.X_OK) == nil {
		return fmt.Sprintf("it is executable; is its interpreter after #!, %s?", interpreter)
	}
	return "is it an executable file?"
}

// formatHint is for a file that the kernel can make nothing of.
func formatHint(path string) string {
	start, err := firstBytes(path)
	switch {
	case err != nil:
		return "is it a program?"
	case len(start) == 0:
		return "the file is empty"
	case isELF(start):
		return "it is built for another machine"
	case bytes.HasPrefix(start, []byte("\xef\xbb\xbf#!")):
		return "there is a byte order mark before its #!: save it without"
	}
	return "a script needs a #! line"
}

// firstBytes returns the beginning of a file, as much as the kernel looks at.
func firstBytes(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() { // reading could block
		return nil, &fs.PathError{Op: "read", Path: path, Err: unix.EINVAL}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, 256)) // BINPRM_BUF_SIZE
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// interpreterOf returns what stands after #!, to the first space, if a file begins so.
func interpreterOf(start []byte) (path string, script bool) {
	line, _, _ := bytes.Cut(start, []byte("\n"))
	rest, script := strings.CutPrefix(string(line), "#!")
	path, _, _ = strings.Cut(strings.TrimLeft(rest, " \t"), " ")
	return path, script
}

func isELF(start []byte) bool { return bytes.HasPrefix(start, []byte(elfMagic)) }
