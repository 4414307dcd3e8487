package main

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/usher-go/usher/master"
)

// inForce returns all settings with what they are, and where each is from, for usher config.
// config has the program, which is not a value of the sources alone.
func (r *reading) inForce(config *master.Config) (all []master.Setting) {
	for _, row := range settings {
		set := master.Setting{Key: row.key, Value: plainValue(row.field(&r.values)), Source: master.FromDefault}
		switch {
		case row.argument:
			set.Value = config.Program
			if len(r.values.Program) > 0 {
				set.Source = master.FromFlag
			} else if len(r.file.strings(row.key)) > 0 {
				set.Source, set.Where = master.FromFile, r.file.at(r.file.entries[row.key].line)
			}
		default:
			set.Source, set.Where = r.sourceOf(row.key)
		}
		all = append(all, set)
	}
	return all
}

// sourceOf returns which source has a flag's value, and where in it.
func (r *reading) sourceOf(key string) (source, where string) {
	flag := findFlag(r.context.Selected(), key)
	for _, path := range r.context.Path {
		if path.Flag == flag && !path.Resolved {
			return master.FromFlag, ""
		}
	}
	if variable := inEnvironment(flag); variable != "" {
		return master.FromEnvironment, variable
	}
	if entry, found := r.file.entries[key]; found {
		return master.FromFile, r.file.at(entry.line)
	}
	return master.FromDefault, ""
}

// plainValue returns the value that a setting's field points to, as a file would have it.
func plainValue(field any) any {
	switch field := field.(type) {
	case *string:
		return *field
	case *madePath:
		return string(*field)
	case *outputPath:
		return string(*field)
	case *int:
		return *field
	case *bool:
		return *field
	case *time.Duration:
		return field.String()
	case *percentage:
		return strconv.FormatFloat(math.Max(0, float64(*field)), 'g', -1, 64) + "%" // -1: none at all
	case *byteSize:
		return field.String()
	case *[]string:
		return append([]string{}, *field...)
	}
	panic(fmt.Sprintf("a setting's field is a %T, which is of no kind", field))
}
