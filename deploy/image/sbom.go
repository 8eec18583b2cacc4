package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// spdx is the media type of an SPDX document in JSON.
const spdx types.MediaType = "application/spdx+json"

// document is what an image is made of, in SPDX 2.3: one for all platforms, since what people name is the index. It tells
// what the linker has written into the binaries, not what go.mod asks for.
type document struct {
	Version       string         `json:"spdxVersion"`
	Licence       string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []component    `json:"packages"`
	Relationships []relationship `json:"relationships"`

	source *source
	known  map[string]bool
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type component struct {
	ID         string      `json:"SPDXID"`
	Name       string      `json:"name"`
	Version    string      `json:"versionInfo,omitempty"`
	FileName   string      `json:"packageFileName,omitempty"`
	Supplier   string      `json:"supplier"`
	Download   string      `json:"downloadLocation"`
	Analyzed   bool        `json:"filesAnalyzed"`
	Checksums  []checksum  `json:"checksums,omitempty"`
	Concluded  string      `json:"licenseConcluded"`
	Declared   string      `json:"licenseDeclared"`
	Copyright  string      `json:"copyrightText"`
	References []reference `json:"externalRefs,omitempty"`
	Purpose    string      `json:"primaryPackagePurpose,omitempty"`
	Comment    string      `json:"comment,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	documentID = "SPDXRef-DOCUMENT"
	unknown    = "NOASSERTION"
)

func newDocument(ctx context.Context, s *source, program string, roots []byte) *document {
	d := &document{
		Version: "SPDX-2.3", Licence: "CC0-1.0", ID: documentID, Name: program + "-" + s.version,
		Creation: creation{Created: s.time.Format("2006-01-02T15:04:05Z"), Creators: []string{"Tool: ebbgate-deploy-image"}},
		source:   s, known: map[string]bool{},
	}
	sum := sha256.Sum256(roots)
	d.contain(documentID, "DESCRIBES", component{
		ID: "SPDXRef-ca-certificates", Name: "ca-certificates", Version: debian(ctx, "ca-certificates"), FileName: "/etc/ssl/certs/ca-certificates.crt",
		Supplier: "Organization: Debian", Checksums: []checksum{{"SHA256", hex.EncodeToString(sum[:])}}, Purpose: "FILE", Declared: "MPL-2.0",
	})
	return d
}

// debian is the version of a Debian package; empty where there is no Debian, or another's file.
func debian(ctx context.Context, name string) string {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// add tells of a binary: the program, the Go that built it, and every module of which something is linked.
func (d *document) add(platform v1.Platform, binary []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("read what the binary is made of: %w", err)
	}
	program := info.Path[strings.LastIndexByte(info.Path, '/')+1:]
	sum := sha256.Sum256(binary)
	d.Namespace += hex.EncodeToString(sum[:8])
	id := identifier("binary", program, platform.Architecture)
	d.contain(documentID, "DESCRIBES", component{
		ID: id, Name: info.Path, Version: d.source.version, FileName: "/" + program, Supplier: "Organization: Ebbgate", Purpose: "APPLICATION",
		Checksums: []checksum{{"SHA256", hex.EncodeToString(sum[:])}}, Declared: "Apache-2.0",
		Comment: "for " + platform.OS + "/" + platform.Architecture + ", of commit " + d.source.revision,
	})
	d.contain(id, "DEPENDS_ON", component{
		ID: identifier("stdlib", info.GoVersion), Name: "stdlib", Version: strings.TrimPrefix(info.GoVersion, "go"), Purpose: "LIBRARY", Declared: "BSD-3-Clause",
		References: []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")}},
	})
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c, err := library(m)
		if err != nil {
			return err
		}
		d.contain(id, "DEPENDS_ON", c)
	}
	return nil
}

// library is a module. Its sum is Go's hash of the module's tree (golang.org/x/mod/sumdb/dirhash), which go.sum has, and not of any file.
func library(m *debug.Module) (component, error) {
	kind, encoded, _ := strings.Cut(m.Sum, ":")
	sum, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || kind != "h1" || len(sum) != sha256.Size {
		return component{}, fmt.Errorf("module %s: %q is no sum of a module", m.Path, m.Sum)
	}
	return component{
		ID: identifier("module", m.Path, m.Version), Name: m.Path, Version: m.Version, Purpose: "LIBRARY",
		Checksums:  []checksum{{"SHA256", hex.EncodeToString(sum)}},
		References: []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + m.Version}},
		Comment:    "go.sum: " + m.Sum,
	}, nil
}

// contain adds a component, once, and how another is related to it.
func (d *document) contain(of, how string, c component) {
	for _, field := range []*string{&c.Supplier, &c.Download, &c.Concluded, &c.Declared, &c.Copyright} {
		if *field == "" {
			*field = unknown
		}
	}
	if !d.known[c.ID] {
		d.known[c.ID] = true
		d.Packages = append(d.Packages, c)
	}
	d.Relationships = append(d.Relationships, relationship{of, how, c.ID})
}

var notIdentifier = regexp.MustCompile(`[^a-zA-Z0-9.-]`)

// identifier is unlike that of any other parts: what SPDX does not let stand is written as its code.
func identifier(parts ...string) string {
	for i, part := range parts {
		parts[i] = notIdentifier.ReplaceAllStringFunc(part, func(s string) string { return fmt.Sprintf("-%X-", s) })
	}
	return "SPDXRef-" + strings.Join(parts, "-")
}

// attached is the document as an artifact that refers to an index (OCI image specification 1.1, subject): it goes where
// the index goes, and belongs to that digest and no other. A file beside the image would have to be found, and
// believed to be of that image.
func (d *document) attached(index v1.ImageIndex) (v1.Image, error) {
	if len(d.Packages) < 2 {
		return nil, errors.New("no binary to tell of")
	}
	d.Namespace = "https://ebbgate.dev/spdx/" + d.Name + "-" + d.Namespace
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write SBOM: %w", err)
	}
	size, err := index.Size()
	if err != nil {
		return nil, fmt.Errorf("attach SBOM: %w", err)
	}
	digest, err := index.Digest()
	if err != nil {
		return nil, fmt.Errorf("attach SBOM: %w", err)
	}
	return newArtifact(static.NewLayer(append(text, '\n'), spdx), &v1.Descriptor{MediaType: types.OCIImageIndex, Size: size, Digest: digest})
}
