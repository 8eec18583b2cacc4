package main

import (
	"regexp"
	"strings"
)

// marks are phrases that only the licence has, in the words of its standard text with white space folded.
var marks = []struct{ name, phrase string }{
	{"Apache-2.0", "apache license version 2.0, january 2004"},
	{"MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"},
	{"MPL-2.0", "mozilla public license version 2.0"},
	{"MPL-2.0", "mozilla public license, version 2.0"},
	{"ISC", "permission to use, copy, modify, and or distribute this software for any purpose"},
	{"ISC", "permission to use, copy, modify, and distribute this software for any purpose"},
	{"Unlicense", "this is free and unencumbered software released into the public domain"},
	{"CC0-1.0", "cc0 1.0 universal"},
	{"GPL", "gnu general public license"},
	{"LGPL", "gnu lesser general public license"},
}

const bsd = "redistribution and use in source and binary forms"

var (
	space  = regexp.MustCompile(`[\s*#/]+`)
	clause = regexp.MustCompile(`neither (the )?names? of`) // BSD's third
)

// identify names the licences whose text is in text; a file may hold several.
func identify(text string) []string {
	text = space.ReplaceAllString(strings.ToLower(text), " ")
	var found []string
	for _, m := range marks {
		if strings.Contains(text, m.phrase) {
			found = append(found, m.name)
		}
	}
	switch {
	case !strings.Contains(text, bsd):
	case clause.MatchString(text):
		found = append(found, "BSD-3-Clause")
	default:
		found = append(found, "BSD-2-Clause")
	}
	return found
}
