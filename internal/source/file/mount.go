package file

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
)

// secretName is a Secret that lies as files: DIR/namespace/name/key, the layout of a mount.
type secretName struct{ namespace, name, path string }

const layout = "name a folder laid out as namespace/name/key"

var secretKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

// mounts lists the files of the Secrets.
func (l *listing) mounts(dir string) {
	if parent, err := filepath.Abs(filepath.Dir(filepath.Clean(dir))); err == nil {
		l.heed(parent, filepath.Base(dir))
	}
	switch _, info, err := l.resolve(dir); {
	case errors.Is(err, fs.ErrNotExist):
		l.fail(dir, "Missing", "there is no such folder of Secrets", layout)
		return
	case err == nil && !info.IsDir():
		l.fail(dir, "Invalid", "it is a file, where a folder of Secrets belongs", layout)
		return
	}
	l.each(dir, "a folder for each namespace", func(path, namespace string) {
		if len(apivalidation.ValidateNamespaceName(namespace, false)) > 0 {
			l.fail(path, "Invalid", "its name is no namespace's", "use at most 63 lower-case letters, digits and hyphens")
			return
		}
		l.each(path, "a folder for each Secret", func(path, name string) {
			if len(apivalidation.NameIsDNSSubdomain(name, false)) > 0 {
				l.fail(path, "Invalid", "its name is no Secret's", "use lower-case letters, digits, hyphens and dots")
				return
			}
			secret := secretName{namespace, name, path}
			l.secrets = append(l.secrets, secret)
			l.keys(secret)
		})
	})
}

// each visits the folders in a folder; a file there is a layout that the user did not mean.
func (l *listing) each(dir, holds string, visit func(path, name string)) {
	for _, name := range l.names(dir) {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".") {
			continue
		}
		_, info, err := l.resolve(path)
		switch {
		case err != nil:
			l.unreadable(path, err)
		case !info.IsDir():
			l.fail(path, "Invalid", "it is a file, where "+holds+" belongs", "lay Secrets as namespace/name/key")
		default:
			visit(path, name)
		}
	}
}

// keys lists the files of one Secret. A kubelet's mount has its data behind ..data, and a link beside it for each key.
func (l *listing) keys(secret secretName) {
	for _, name := range l.names(secret.path) {
		path := filepath.Join(secret.path, name)
		if strings.HasPrefix(name, "..") {
			continue
		}
		real, info, err := l.resolve(path)
		switch {
		case err != nil:
			l.unreadable(path, err)
		case info.IsDir():
			l.fail(path, "Invalid", "it is a folder, where a key's file belongs", "lay Secrets as namespace/name/key")
		case !secretKey.MatchString(name):
			l.fail(path, "Invalid", "its name is no key of a Secret", "use letters, digits, - _ and .")
		default:
			delete(l.seen, real) // one file may be a key of two Secrets
			l.file(path, real, info, &secret)
		}
	}
}

func (l *listing) names(dir string) []string {
	real, _, err := l.resolve(dir)
	if err != nil {
		l.unreadable(dir, err)
		return nil
	}
	l.heed(real, "")
	entries, err := os.ReadDir(real)
	if err != nil {
		l.unreadable(dir, err)
		return nil
	}
	var names []string
	for _, entry := range entries {
		if !leftover(entry.Name()) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// key is the name of the file of a Secret's key.
func (t text) key() string { return filepath.Base(t.path) }

// compose makes a Secret of its files, whose bytes stay as they are: a newline at the end is the reader's to judge.
func compose(secret secretName, keys map[string][]byte) map[string]any {
	data := make(map[string]any, len(keys))
	for key, content := range keys {
		data[key] = base64.StdEncoding.EncodeToString(content)
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": secretType(keys), "data": data,
		"metadata": map[string]any{"namespace": secret.namespace, "name": secret.name},
	}
}

// secretType is what the keys say, since a mount does not tell it.
func secretType(keys map[string][]byte) string {
	has := func(key string) bool { _, ok := keys[key]; return ok }
	switch {
	case has("tls.crt") && has("tls.key"):
		return "kubernetes.io/tls"
	case has("username") && has("password"):
		return "kubernetes.io/basic-auth"
	}
	return "Opaque"
}
