package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// kind is how the values of a setting are written. A flag and a variable have the
// text alone; numbers, lists and what is true or false are their own in the file.
type kind struct {
	want   string                   // what it is, for errors: a duration such as "30s"
	fits   func(value any) bool     // whether a value in the file is one, as package toml has it
	inFile func(text string) string // as the file has what is this as a flag
}

// kindOf returns the kind of values that are stored where field points.
func kindOf(field any) kind {
	switch field.(type) {
	case *string, *madePath, *outputPath:
		return kind{"a string", is[string], strconv.Quote}
	case *int:
		return kind{"a whole number", is[int64], verbatim}
	case *bool:
		return kind{"true or false", is[bool], verbatim}
	case *time.Duration:
		return kind{`a duration such as "30s" or "1h30m"`, isDuration, strconv.Quote}
	case *percentage:
		return kind{`a share such as "1%"`, isPercentage, strconv.Quote}
	case *byteSize:
		return kind{`a size such as "512MiB"`, isByteSize, strconv.Quote}
	case *[]string:
		return kind{`a list of strings such as ["one", "two"]`, isStrings, quotedList}
	}
	panic(fmt.Sprintf("a setting's field is a %T, which is of no kind", field))
}

func is[T any](value any) bool { _, ok := value.(T); return ok }

func isDuration(value any) bool {
	text, ok := value.(string)
	_, err := time.ParseDuration(text)
	return ok && err == nil
}

func isPercentage(value any) bool {
	text, ok := value.(string)
	return ok && new(percentage).UnmarshalText([]byte(text)) == nil
}

// isByteSize takes a number of bytes, too.
func isByteSize(value any) bool {
	text, ok := value.(string)
	return is[int64](value) || ok && new(byteSize).UnmarshalText([]byte(text)) == nil
}

func isStrings(value any) bool {
	list, ok := value.([]any)
	for _, element := range list {
		ok = ok && is[string](element)
	}
	return ok
}

func verbatim(text string) string { return text }

// quotedList has commas between the parts of text.
func quotedList(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		if part != "" {
			parts = append(parts, strconv.Quote(part))
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}
