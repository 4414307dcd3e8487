package child

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What execve(2) says of a file is told without it. The stories of usher serve and usher check
// compare the two.
func TestCheckedProgram(t *testing.T) {
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	foreign := bytes.Clone(own)
	foreign[18], foreign[19] = 0xff, 0xff // no machine has that
	sister, isThere := startsToo[machineOf(own)]
	if isThere {
		foreign32 := bytes.Clone(own)
		foreign32[18], foreign32[19] = byte(sister), byte(sister>>8)
		if !fitsMachine(foreign32) {
			t.Errorf("%v is refused, which some kernels of this machine start", sister)
		}
	}
	tests := []struct {
		name string
		text []byte
		want error
	}{
		{"this program", own, nil},
		{"of another machine", foreign, unix.ENOEXEC},
		{"of the other byte order", append([]byte("\x7fELF\x02\x03\x01"), own[7:100]...), unix.ENOEXEC},
		{"cut off", own[:10], unix.ENOEXEC},
		{"a script", []byte("#!/bin/sh\n"), nil},
		{"a script of one here", []byte("#!./interpreter\n"), nil},
		{"a script of one that is not here", []byte("#!./missing\n"), unix.ENOENT},
		{"a script of a folder", []byte("#!/\n"), unix.EACCES},
		{"a script of what nobody may execute", []byte("#!/dev/null\n"), unix.EACCES},
		{"a script of nobody", []byte("#!\n"), unix.ENOEXEC},
		{"a text", []byte("echo\n"), unix.ENOEXEC},
		{"a loader that is not there", withLoader(t, own), unix.ENOENT},
	}
	folder := t.TempDir()
	if err := os.Symlink("/bin/sh", filepath.Join(folder, "interpreter")); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(folder, "program")
			if err := os.WriteFile(path, test.text, 0o700); err != nil {
				t.Fatal(err)
			}
			errno := startable(path, folder)
			if test.want == nil && errno != 0 || test.want != nil && errno != test.want {
				t.Errorf("%v, want %v", errno, test.want)
			}
		})
	}
}

// withLoader returns a small ELF file of this machine that asks for a loader that is missing.
func withLoader(t *testing.T, own []byte) []byte {
	t.Helper()
	const header, part, loader = 64, 56, "/no-such-loader-of-usher\x00"
	if own[elf.EI_CLASS] != byte(elf.ELFCLASS64) || own[elf.EI_DATA] != byte(elf.ELFDATA2LSB) {
		t.Skip("the file is written for 64 bits, the low byte first")
	}
	file := make([]byte, header+part)
	copy(file, own[:header])
	file[32], file[40], file[41] = header, 0, 0 // where the parts begin; no sections
	clear(file[33:48])
	file[54], file[56], file[57] = part, 1, 0 // one part
	clear(file[58:64])
	p := file[header:]
	p[0] = byte(elf.PT_INTERP)
	p[8] = header + part
	p[32], p[40] = byte(len(loader)), byte(len(loader))
	return append(file, loader...)
}

// What binfmt_misc has an interpreter for may start, whatever it is.
func TestHandles(t *testing.T) {
	const qemu = "enabled\ninterpreter /usr/bin/qemu\nflags: OCF\noffset 0\nmagic 7f454c4602\nmask ffffffff00\n"
	tests := []struct {
		name, entry, path, start string
		want                     bool
	}{
		{"by its first bytes", qemu, "p", "\x7fELF\x01...", true},
		{"by other bytes", qemu, "p", "\x7fELL\x02...", false},
		{"by too few", qemu, "p", "\x7fELF", false},
		{"without a mask", "enabled\noffset 1\nmagic 6162\n", "p", "xab", true},
		{"without a mask, others", "enabled\noffset 1\nmagic 6162\n", "p", "xac", false},
		{"by its name", "enabled\ninterpreter /x\nextension .jar\n", "/a/b.jar", "PK", true},
		{"by another name", "enabled\ninterpreter /x\nextension .jar\n", "/a/b", "PK", false},
		{"turned off", "disabled\ninterpreter /x\nextension .jar\n", "/a/b.jar", "PK", false},
		{"the folder's own files", "enabled\n", "p", "xab", false},
		{"nonsense", "enabled\noffset -1\nmagic 7f\n", "p", "\x7f", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := handles(test.entry, test.path, []byte(test.start)); got != test.want {
				t.Errorf("%t, want %t", got, test.want)
			}
		})
	}
}
