package main

import (
	"bytes"
	"fmt"
	"strings"
)

const head = `# Third-party notices

Ebbgate is under the Apache License 2.0 (LICENSE). Its programs link the modules below, each under its own licence.
` + "`make generate`" + ` writes this file.

The CRD schemas under deploy/crds/gateway-api are derived from sigs.k8s.io/gateway-api (Apache-2.0).

| module | version | licence |
|---|---|---|
`

// render writes the table, then every licence text that is not Apache-2.0's, once, under the modules it belongs to, then
// the notices that Apache-2.0 (section 4d) asks to be handed on.
func render(parts []part) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	for _, p := range parts {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", p.Path, p.Version, strings.Join(p.licences, ", "))
	}
	section(&b, "Licence texts", parts, func(p part) []string { return p.texts })
	section(&b, "Notices", parts, func(p part) []string { return p.notices })
	return b.Bytes()
}

func section(b *bytes.Buffer, title string, parts []part, texts func(part) []string) {
	var order []string
	owners := map[string][]string{}
	for _, p := range parts {
		for _, text := range texts(p) {
			if owners[text] == nil {
				order = append(order, text)
			}
			owners[text] = append(owners[text], p.Path)
		}
	}
	if len(order) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n", title)
	for _, text := range order {
		fmt.Fprintf(b, "\n### %s\n\n```text\n%s\n```\n", strings.Join(owners[text], ", "), text)
	}
}
