package child

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// binfmtFolder is where the kernel lists what binfmt_misc has interpreters for, as an
// emulator of another machine (Linux's Documentation/admin-guide/binfmt-misc.rst). Where it
// is not mounted there may be some all the same, which nobody can see.
const binfmtFolder = "/proc/sys/fs/binfmt_misc"

// hasHandler reports whether binfmt_misc has an interpreter for a file, by its first bytes or
// its name.
func hasHandler(path string, start []byte) bool {
	status, err := os.ReadFile(filepath.Join(binfmtFolder, "status"))
	if err != nil || strings.TrimSpace(string(status)) != "enabled" {
		return false
	}
	entries, err := os.ReadDir(binfmtFolder)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(binfmtFolder, entry.Name()))
		if err == nil && handles(string(text), path, start) {
			return true
		}
	}
	return false
}

// handles reports whether an entry of that folder, by its text, takes a file.
func handles(entry, path string, start []byte) bool {
	enabled, fields := false, make(map[string]string)
	for line := range strings.Lines(entry) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		enabled = enabled || name == "enabled"
		fields[name] = value
	}
	if extension := fields["extension"]; extension != "" {
		return enabled && strings.HasSuffix(path, extension)
	}
	magic, err := hex.DecodeString(fields["magic"])
	offset, badOffset := strconv.Atoi(fields["offset"])
	if !enabled || err != nil || badOffset != nil || len(magic) == 0 || offset < 0 || offset+len(magic) > len(start) {
		return false
	}
	mask, err := hex.DecodeString(fields["mask"])
	if err != nil || len(mask) != len(magic) {
		mask = bytes.Repeat([]byte{0xff}, len(magic))
	}
	for i, want := range magic {
		if (start[offset+i]^want)&mask[i] != 0 {
			return false
		}
	}
	return true
}
