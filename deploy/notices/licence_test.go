package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestIdentify(t *testing.T) {
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	const (
		mit   = "Permission is hereby granted, free of charge, to any person\nobtaining a copy of this software"
		two   = "Redistribution and use in source and binary\n// forms, with or without modification"
		three = two + "\n * Neither the name of the author"
	)
	for text, want := range map[string]string{
		string(apache):            "Apache-2.0",
		mit:                       "MIT",
		two:                       "BSD-2-Clause",
		three:                     "BSD-3-Clause",
		mit + "\n---\n" + three:   "MIT BSD-3-Clause",
		"All rights are reserved": "",
		"Permission to use, copy, modify, and/or distribute this software for any\npurpose": "ISC",
		"Permission to use, copy, modify, and distribute this software for any purpose":     "ISC",
	} {
		if got := identify(text); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("identify(%.40q…) = %v, want %s", text, got, want)
		}
	}
}

func TestRenderTextsOnceAndNoticesApart(t *testing.T) {
	var a, b part
	a.Path, b.Path = "example.com/a", "example.com/b"
	for _, p := range []*part{&a, &b} {
		p.add("LICENSE", "Permission is hereby granted, free of charge, to any person obtaining a copy")
	}
	b.add("NOTICE", "B has authors")
	got := string(render([]part{a, b}))
	if n := strings.Count(got, "Permission is hereby"); n != 1 {
		t.Errorf("the shared text stands %d times, want once", n)
	}
	for _, want := range []string{"| example.com/a |  | MIT |", "### example.com/a, example.com/b\n", "## Notices\n\n### example.com/b\n\n```text\nB has authors\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
