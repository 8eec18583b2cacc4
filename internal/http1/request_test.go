package http1

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ebbgate/ebbgate/internal/exchange"
)

func TestReadRequest(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"origin form": {
			"GET /a%20b/../c?q=1?&x HTTP/1.1\r\nHost: Example.com:8080\r\nX-A: 1\r\nx-a:2\r\nEmpty:\r\nX-B: \t a b\xff \t\r\n\r\n",
			"GET |Example.com:8080|/a%20b/../c|?q=1?&x abs=false HTTP/1.1 length=-2\n" +
				"X-A=1\nx-a=2\nEmpty=\nX-B=a b\xff\nkeep=true done=true\nEOF\n",
		},
		"length": {
			"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 005\r\n\r\nhello",
			"POST |a|/| abs=false HTTP/1.1 length=5\nbody \"hello\" <nil>\nkeep=true done=true\nEOF\n",
		},
		"length 0": {
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
			"POST |a|/| abs=false HTTP/1.1 length=0\nkeep=true done=true\nEOF\n",
		},
		"chunked with extension and trailers": {
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" +
				"5;a=\"b c\"\r\nhello\r\n00A\r\n, world...\r\n0;z\r\nX-Sum: 1\r\nx-sum:2\r\n\r\n",
			"POST |a|/| abs=false HTTP/1.1 length=-1\nTrailer=X-Sum\nbody \"hello, world...\" <nil>\n" +
				"~X-Sum=1\n~x-sum=2\nkeep=true done=true\nEOF\n",
		},
		"pipelined": {
			"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nonePOST /2 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n" +
				"3\r\ntwo\r\n0\r\n\r\nGET /3 HTTP/1.1\r\nHost: c\r\nConnection: x, Close\r\n\r\n",
			"POST |a|/1| abs=false HTTP/1.1 length=3\nbody \"one\" <nil>\nkeep=true done=true\n" +
				"POST |b|/2| abs=false HTTP/1.1 length=-1\nbody \"two\" <nil>\nkeep=true done=true\n" +
				"GET |c|/3| abs=false HTTP/1.1 length=-2\nConnection=x, Close\nkeep=false done=true\nrest \"\"\n",
		},
		"absolute form": {
			"GET HTTP://Example.com:80/x?y HTTP/1.1\r\nHost: example.COM\r\n\r\n",
			"GET http|Example.com:80|/x|?y abs=true HTTP/1.1 length=-2\nkeep=true done=true\nEOF\n",
		},
		"absolute form without path": {
			"GET https://[::1]:443?y HTTP/1.1\r\nHost: [::1]\r\n\r\nOPTIONS http://a HTTP/1.1\r\nHost: a:80\r\n\r\n",
			"GET https|[::1]:443|/|?y abs=true HTTP/1.1 length=-2\nkeep=true done=true\n" +
				"OPTIONS http|a|*| abs=true HTTP/1.1 length=-2\nkeep=true done=true\nEOF\n",
		},
		"authority form": {
			"CONNECT a.b:443 HTTP/1.1\r\nHost: A.b\r\nContent-Length: 0\r\n\r\n",
			"CONNECT |a.b:443|| abs=false HTTP/1.1 length=-2\nkeep=true done=true\nEOF\n",
		},
		"asterisk form": {
			"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
			"OPTIONS |a|*| abs=false HTTP/1.1 length=-2\nkeep=true done=true\nEOF\n",
		},
		"1.0": {
			"GET //x HTTP/1.0\r\n\r\n",
			"GET ||//x| abs=false HTTP/1.0 length=-2\nkeep=false done=true\nrest \"\"\n",
		},
		"1.0 keep-alive": {
			"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a\r\n\r\n",
			"GET |a|/| abs=false HTTP/1.0 length=-2\nConnection=Keep-Alive\nkeep=true done=true\nEOF\n",
		},
		"nothing":               {"", "EOF\n"},
		"cut in the head":       {"GET / HTTP/1.1\r\nHost: a\r\n", "unexpected EOF\n"},
		"cut in a fixed body":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", "POST |a|/| abs=false HTTP/1.1 length=5\nbody \"hell\" unexpected EOF\nkeep=true done=false\nrest \"\"\n"},
		"cut before the body":   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "POST |a|/| abs=false HTTP/1.1 length=5\nbody \"\" unexpected EOF\nkeep=true done=false\nrest \"\"\n"},
		"cut at a chunk's edge": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "POST |a|/| abs=false HTTP/1.1 length=-1\nbody \"a\" unexpected EOF\nkeep=true done=false\nrest \"\"\n"},
		"cut before last line":  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n", "POST |a|/| abs=false HTTP/1.1 length=-1\nbody \"a\" unexpected EOF\nkeep=true done=false\nrest \"\"\n"},
	} {
		t.Run(name, func(t *testing.T) {
			feeds(t, c.in, func(t *testing.T, src io.Reader) {
				r := NewReader(src, Limits{})
				defer r.Reset(nil)
				if got := dumpRequests(r); got != c.want {
					t.Errorf("got:\n%swant:\n%s", got, c.want)
				}
			})
		})
	}
}

func TestReadRequestRefuses(t *testing.T) {
	const (
		get   = "GET / HTTP/1.1\r\nHost: a\r\n"
		post  = "POST / HTTP/1.1\r\nHost: a\r\n"
		te    = "Transfer-Encoding: chunked\r\n"
		chunk = post + te + "\r\n"
	)
	for name, c := range map[string]struct {
		in     string
		status int
	}{
		"length with coding":          {post + te + "Content-Length: 3\r\n\r\n", 400},
		"coding with length":          {post + "Content-Length: 3\r\n" + te + "\r\n", 400},
		"length twice":                {post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
		"length twice the same":       {post + "Content-Length: 3\r\nContent-length: 3\r\n\r\n", 400},
		"length listed":               {post + "Content-Length: 3, 3\r\n\r\n", 400},
		"length plus":                 {post + "Content-Length: +3\r\n\r\n", 400},
		"length minus":                {post + "Content-Length: -3\r\n\r\n", 400},
		"length hexadecimal":          {post + "Content-Length: 0x3\r\n\r\n", 400},
		"length hex digits":           {post + "Content-Length: a\r\n\r\n", 400},
		"length empty":                {post + "Content-Length:\r\n\r\n", 400},
		"length overflows":            {post + "Content-Length: 9223372036854775808\r\n\r\n", 400},
		"length overflows far":        {post + "Content-Length: 18446744073709551619\r\n\r\n", 400},
		"length with space":           {post + "Content-Length: 1 2\r\n\r\n", 400},
		"coding twice":                {post + te + te + "\r\n", 400},
		"coding chunked twice":        {post + "Transfer-Encoding: chunked, chunked\r\n\r\n", 400},
		"coding unknown":              {post + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
		"coding not chunked last":     {post + "Transfer-Encoding: chunked, gzip\r\n\r\n", 400},
		"coding without chunked":      {post + "Transfer-Encoding: gzip\r\n\r\n", 400},
		"coding identity":             {post + "Transfer-Encoding: identity\r\n\r\n", 400},
		"coding in other letters":     {post + "Transfer-Encoding: Chunked\r\n\r\n", 400},
		"coding empty":                {post + "Transfer-Encoding:\r\n\r\n", 400},
		"coding with vertical tab":    {post + "Transfer-Encoding: \vchunked\r\n\r\n", 400},
		"coding quoted":               {post + "Transfer-Encoding: \"chunked\"\r\n\r\n", 400},
		"coding parameter":            {post + "Transfer-Encoding: chunked;q=1\r\n\r\n", 400},
		"coding name with space":      {post + "Transfer-Encoding : chunked\r\n\r\n", 400},
		"coding in 1.0":               {"POST / HTTP/1.0\r\nHost: a\r\n" + te + "\r\n", 400},
		"fold":                        {get + "X: a\r\n b\r\n\r\n", 400},
		"fold by tab":                 {get + "X: a\r\n\tb\r\n\r\n", 400},
		"fold in the first line":      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
		"fold of nothing":             {get + " \r\n\r\n", 400},
		"bare LF":                     {get + "X: a\nY: b\r\n\r\n", 400},
		"bare LF ends the head":       {"GET / HTTP/1.1\nHost: a\n\n", 400},
		"bare LF in first line":       {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
		"bare LF as last line":        {get + "\n", 400},
		"bare CR in value":            {get + "X: a\rY: b\r\n\r\n", 400},
		"bare CR in name":             {get + "X\r: a\r\n\r\n", 400},
		"bare CR ends line":           {get + "X: a\rb", 400},
		"CR before CRLF":              {get + "X: a\r\r\n\r\n", 400},
		"leading blank line":          {"\r\n" + get + "\r\n", 400},
		"leading LF":                  {"\n" + get + "\r\n", 400},
		"leading space":               {" " + get + "\r\n", 400},
		"NUL in value":                {get + "X: a\x00b\r\n\r\n", 400},
		"NUL in name":                 {get + "X\x00: b\r\n\r\n", 400},
		"control in value":            {get + "X: a\x01\r\n\r\n", 400},
		"DEL in value":                {get + "X: abcdefghijklm\x7f\r\n\r\n", 400},
		"TLS":                         {"\x16\x03\x01\x02\x00\x01", 400},
		"name with space":             {get + "X y: a\r\n\r\n", 400},
		"space before colon":          {get + marker + " : a\r\n\r\n", 400},
		"name empty":                  {get + ": a\r\n\r\n", 400},
		"name not ASCII":              {get + "X\xc3\xa9: a\r\n\r\n", 400},
		"name in brackets":            {get + "X[]: a\r\n\r\n", 400},
		"no colon":                    {get + marker + "\r\n\r\n", 400},
		"Host twice":                  {get + "Host: b\r\n\r\n", 400},
		"Host twice the same":         {get + "hOST: a\r\n\r\n", 400},
		"Host twice in 1.0":           {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		"Host empty":                  {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		"Host empty in 1.0":           {"GET / HTTP/1.0\r\nHost: \r\n\r\n", 400},
		"Host missing":                {"GET / HTTP/1.1\r\nX: a\r\n\r\n", 400},
		"Host missing, absolute":      {"GET http://a/ HTTP/1.1\r\n\r\n", 400},
		"Host missing, CONNECT":       {"CONNECT a:443 HTTP/1.1\r\n\r\n", 400},
		"Host listed":                 {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
		"Host with space":             {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		"Host with path":              {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
		"Host with user":              {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
		"Host with query":             {"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400},
		"Host with escape":            {"GET / HTTP/1.1\r\nHost: a%2eb\r\n\r\n", 400},
		"Host not ASCII":              {"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", 400},
		"Host with empty label":       {"GET / HTTP/1.1\r\nHost: a..b\r\n\r\n", 400},
		"Host with leading dot":       {"GET / HTTP/1.1\r\nHost: .a\r\n\r\n", 400},
		"Host with empty port":        {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", 400},
		"Host with port 0":            {"GET / HTTP/1.1\r\nHost: a:0\r\n\r\n", 400},
		"Host with port 080":          {"GET / HTTP/1.1\r\nHost: a:080\r\n\r\n", 400},
		"Host with port 65536":        {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
		"Host with two ports":         {"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
		"Host with bare IPv6":         {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400},
		"Host with IPv6 zone":         {"GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400},
		"Host with IPv4 in brackets":  {"GET / HTTP/1.1\r\nHost: [127.0.0.1]\r\n\r\n", 400},
		"Host with open bracket":      {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		"Host with tail":              {"GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400},
		"Host too long":               {"GET / HTTP/1.1\r\nHost: " + strings.Repeat("a", 256) + "\r\n\r\n", 400},
		"Host against target":         {"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"Host's port against target":  {"GET http://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n", 400},
		"Host against target in 1.0":  {"GET http://b/ HTTP/1.0\r\nHost: a\r\n\r\n", 400},
		"Host against CONNECT":        {"CONNECT b:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 400},
		"Host's port against CONNECT": {"CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n", 400},
		"Host without CONNECT's port": {"CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"version 2.0":                 {"GET * HTTP/2.0\r\n\r\n", 505},
		"version 1.2":                 {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
		"version 0.9":                 {"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505},
		"version 1.10":                {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
		"version missing":             {"GET /\r\n\r\n", 400},
		"version in other letters":    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
		"version with plus":           {"GET / HTTP/+1.1\r\nHost: a\r\n\r\n", 400},
		"version short":               {"GET / H\r\n\r\n", 400},
		"two spaces after method":     {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"two spaces after target":     {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"tab after method":            {"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"space after version":         {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
		"method no token":             {"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"method missing":              {" / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target missing":              {"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target empty":                {"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with space":           {"GET /" + marker + " b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with tab":             {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with NUL":             {"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with control":         {"GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with DEL":             {"GET /a\x7fb HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target not ASCII":            {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with fragment":        {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target relative":             {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target query alone":          {"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target of another scheme":    {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target without host":         {"GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with user":            {"GET http://u:" + marker + "@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target with one slash":       {"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target authority of GET":     {"GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"target * of GET":             {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"CONNECT with path":           {"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"CONNECT without port":        {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"CONNECT absolute":            {"CONNECT http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"CONNECT with length":         {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 1\r\n\r\n", 400},
		"CONNECT with coding":         {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n" + te + "\r\n", 400},
		"Trailer names framing":       {post + te + "Trailer: x, content-length\r\n\r\n", 400},

		"chunk size signed":             {chunk + "+1\r\na\r\n0\r\n\r\n", 400},
		"chunk size negative":           {chunk + "-1\r\na\r\n0\r\n\r\n", 400},
		"chunk size with prefix":        {chunk + "0x1\r\na\r\n0\r\n\r\n", 400},
		"chunk size empty":              {chunk + "\r\na\r\n0\r\n\r\n", 400},
		"chunk size no digits":          {chunk + "g\r\na\r\n0\r\n\r\n", 400},
		"chunk size overflows":          {chunk + "8000000000000000\r\na\r\n0\r\n\r\n", 400},
		"chunk size overflows 64":       {chunk + "10000000000000001\r\na\r\n0\r\n\r\n", 400},
		"chunk size with leading space": {chunk + " 1\r\na\r\n0\r\n\r\n", 400},
		"chunk size with space":         {chunk + "1 \r\na\r\n0\r\n\r\n", 400},
		"chunk size with tab":           {chunk + "1\t;x\r\na\r\n0\r\n\r\n", 400},
		"chunk line ended by LF":        {chunk + "1\na\r\n0\r\n\r\n", 400},
		"chunk line ended by CR":        {chunk + "1\ra\r\n0\r\n\r\n", 400},
		"chunk extension ended by LF":   {chunk + "1;x\na\r\n0\r\n\r\n", 400},
		"chunk extension with CR":       {chunk + "1;x\ry\r\na\r\n0\r\n\r\n", 400},
		"chunk extension too long":      {chunk + "1;" + strings.Repeat("x", 256) + "\r\na\r\n0\r\n\r\n", 400},
		"chunk extensions without end":  {chunk + strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\na\r\n", 50), 400},
		"chunk data ended by LF":        {chunk + "1\r\na\n0\r\n\r\n", 400},
		"chunk data too long":           {chunk + "1\r\nab\r\n0\r\n\r\n", 400},
		"chunk last line by LF":         {chunk + "0\r\n\n", 400},
		"chunk last size by LF":         {chunk + "0\n\r\n", 400},
		"trailer Content-Length":        {chunk + "0\r\nContent-Length: 1\r\n\r\n", 400},
		"trailer Host":                  {chunk + "0\r\nhost: a\r\n\r\n", 400},
		"trailer Authorization":         {chunk + "0\r\nAuthorization: " + marker + "\r\n\r\n", 400},
		"trailer Connection":            {chunk + "0\r\nConnection: a\r\n\r\n", 400},
		"trailer with fold":             {chunk + "0\r\nX: a\r\n b\r\n\r\n", 400},
		"trailer with LF":               {chunk + "0\r\nX: a\n\r\n\r\n", 400},
		"trailer without colon":         {chunk + "0\r\n" + marker + "\r\n\r\n", 400},
		"trailers too large":            {chunk + "0\r\nX: " + strings.Repeat("a", 9<<10) + "\r\n\r\n", 431},
		"too many trailers":             {chunk + "0\r\n" + strings.Repeat("X: a\r\n", 129) + "\r\n", 431},

		"too many fields":       {get + strings.Repeat("X: a\r\n", 128) + "\r\n", 431},
		"head too large":        {get + "X: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
		"head without end":      {get + strings.Repeat("X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 2000), 431},
		"target too long":       {"GET /" + strings.Repeat("a", 16<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		"request line too long": {"GET /" + strings.Repeat("a", 70<<10), 414},
	} {
		t.Run(name, func(t *testing.T) {
			feeds(t, c.in, func(t *testing.T, src io.Reader) {
				r := NewReader(src, Limits{})
				defer r.Reset(nil)
				var req exchange.Request
				err := r.ReadRequest(&req)
				if err == nil && req.Body != nil {
					_, err = io.Copy(io.Discard, req.Body)
				}
				wantError(t, err, c.status)
				if r.KeepAlive() || r.Reusable() {
					t.Error("the connection may be used again")
				}
				if again := r.ReadRequest(&req); again == nil {
					t.Error("a request was read behind one that was refused")
				}
			})
		})
	}
}

// What is to be refused at once must not wait for more to come.
func TestReadRequestRefusesAtOnce(t *testing.T) {
	for name, in := range map[string]string{
		"bare LF":      "GET / HTTP/1.1\n",
		"leading LF":   "\n",
		"leading CRLF": "\r\n",
		"bare CR":      "GET / HTTP/1.1\r\nX: a\rb",
		"NUL":          "GET /\x00",
		"TLS":          "\x16\x03\x01",
	} {
		t.Run(name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			defer server.Close()
			go func() { _, _ = io.WriteString(client, in) }()
			wantError(t, NewReader(server, Limits{}).ReadRequest(new(exchange.Request)), 400)
		})
	}
}

func TestReadRequestLimits(t *testing.T) {
	const head = "GET /12345 HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n"
	for name, c := range map[string]struct {
		limits Limits
		status int
	}{
		"all at their bounds": {Limits{HeadBytes: len(head), Fields: 2, Target: 6}, 0},
		"head":                {Limits{HeadBytes: len(head) - 1}, 431},
		"fields":              {Limits{Fields: 1}, 431},
		"target":              {Limits{Target: 5}, 414},
	} {
		t.Run(name, func(t *testing.T) {
			feeds(t, head+"GET", func(t *testing.T, src io.Reader) {
				err := NewReader(src, c.limits).ReadRequest(new(exchange.Request))
				if c.status != 0 {
					wantError(t, err, c.status)
				} else if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestExpectAndUpgrade(t *testing.T) {
	for in, want := range map[string][2]bool{
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n":                   {true, false},
		"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n":                   {false, false},
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n":                                        {false, false},
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 200-ok\r\n\r\n":                         {false, false},
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n":        {false, true},
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n":                                           {false, false},
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n":                                          {false, false},
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n":                    {false, false},
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgraded\r\nUpgrade: websocket\r\nX: upgrade\r\n\r\n":     {false, false},
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: a\r\nConnection: \tupgrade\r\n\r\n": {false, true},
	} {
		r := NewReader(strings.NewReader(in), Limits{})
		if err := r.ReadRequest(new(exchange.Request)); err != nil {
			t.Errorf("%q: %v", in, err)
		}
		if got := [2]bool{r.ExpectContinue(), r.Upgrade()}; got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}

func TestUpgradeLeavesTheRestBuffered(t *testing.T) {
	r := NewReader(strings.NewReader("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01"), Limits{})
	if err := r.ReadRequest(new(exchange.Request)); err != nil {
		t.Fatal(err)
	}
	if got := string(r.Buffered()); got != "\x16\x03\x01" {
		t.Errorf("got %q", got)
	}
	if r.Release() {
		t.Error("unread bytes were given away")
	}
}

func TestTimeoutInHeadCanBeReadOn(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	r := NewReader(server, Limits{})
	var req exchange.Request
	go func() { _, _ = io.WriteString(client, "GET / HTTP/1.1\r\nHo") }()
	if err := r.fillOnce(); err != nil {
		t.Fatal(err)
	}
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := r.ReadRequest(&req); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("got %v, want a timeout", err)
	}
	if len(r.Buffered()) == 0 {
		t.Error("what had come was lost")
	}
	if err := server.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(client, "st: a\r\n\r\n") }()
	if err := r.ReadRequest(&req); err != nil || req.Authority != "a" {
		t.Errorf("got %v and %q", err, req.Authority)
	}
}

func (r *Reader) fillOnce() error {
	r.roomForHead()
	return r.fill()
}

func TestRequestIsNotReadBeforeTheLastOnesEnd(t *testing.T) {
	r := NewReader(strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"), Limits{})
	var req exchange.Request
	if err := r.ReadRequest(&req); err != nil {
		t.Fatal(err)
	}
	if err := r.ReadRequest(&req); err == nil {
		t.Error("a body was read as a request")
	}
}
