package upstream

import (
	"io"
	"net/http"
	"time"
)

// Trailers answers 200 with the body and then trailer fields, given as pairs of name and value and announced in the head.
func Trailers(body string, fields ...string) http.Handler {
	return drained(func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add("Trailer", fields[i])
		}
		_, _ = io.WriteString(w, body)            // a client that left has no use for the rest either
		_ = http.NewResponseController(w).Flush() // without a length: there are clients that read no further than it says
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
	})
}

// Hinted sends an informational answer with the fields, then lets the next handler answer (RFC 9110, section 15.2).
func Hinted(code int, next http.Handler, fields ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Add(fields[i], fields[i+1])
		}
		w.WriteHeader(code)
		for i := 0; i+1 < len(fields); i += 2 {
			w.Header().Del(fields[i])
		}
		next.ServeHTTP(w, r)
	})
}

// Early answers 413 with a line of text, before it has read any of the request's body, and reads none.
func Early() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		_, _ = io.WriteString(w, "no more\n")
	})
}

// Ranges answers with n bytes as Body does, or with the part of them that is asked for (RFC 9110, section 14).
func Ranges(n int64) http.Handler {
	return drained(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("ETag", `"it"`)
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(pattern(n), 0, n))
	})
}

// pattern is n bytes, as Byte has them.
type pattern int64

func (n pattern) ReadAt(p []byte, at int64) (int, error) {
	for i := range p {
		if at+int64(i) >= int64(n) {
			return i, io.EOF
		}
		p[i] = Byte(at + int64(i))
	}
	return len(p), nil
}
