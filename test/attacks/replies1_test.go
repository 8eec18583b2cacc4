package attacks

import (
	"fmt"
	"slices"
	"strings"
)

const (
	ok      = "HTTP/1.1 200 OK\r\n"
	five    = "Content-Length: 5\r\n"
	invalid = "502 upstream_invalid"
	other   = ok + "Content-Length: 6\r\n\r\nhidden"
)

// wrong are answers that the client sees nothing of.
func wrong(pairs ...string) (list []reply) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, reply{name: pairs[i], raw: pairs[i+1], want: invalid})
	}
	return list
}

// torn are answers that break off for the client.
func torn(pairs ...string) []reply {
	list := wrong(pairs...)
	for i := range list {
		list[i].want = cut
	}
	return list
}

// right are answers that are read in the one way, as name, raw and body.
func right(triples ...string) (list []reply) {
	for i := 0; i < len(triples); i += 3 {
		list = append(list, reply{name: triples[i], raw: triples[i+1], want: triples[i+2], kept: true})
	}
	return list
}

func replies1() []reply {
	return slices.Concat(framings(), replyCodings(), replyChunks(), heads(), statuses(), leftovers(), interims(), switches())
}

func framings() []reply {
	long := func(value string) string { return ok + "Content-Length: " + value + "\r\n\r\nhello" }
	return slices.Concat(wrong(
		"CL.TE", ok+five+coded+"\r\n"+chunks,
		"TE.CL", ok+coded+"Content-Length: 17\r\n\r\n"+chunks,
		"CL.TE in HTTP/1.0", "HTTP/1.0 200 OK\r\n"+five+coded+"\r\n"+chunks,
		"coding in HTTP/1.0", "HTTP/1.0 200 OK\r\n"+coded+"\r\n"+chunks,
		"length twice", ok+five+five+"\r\nhello",
		"length twice, unlike", ok+five+"Content-Length: 0\r\n\r\nhello",
		"length in a list", long("5, 5"),
		"length in a list of two", long("5,6"),
		"length with plus", long("+5"),
		"length with minus", long("-5"),
		"length hexadecimal", long("0x5"),
		"length empty", long(""),
		"length with space", long("5 5"),
		"length with NUL", long("5\x00"),
		"length over 63 bits", long("9223372036854775808"),
		"length folded", ok+"Content-Length:\r\n 5\r\n\r\nhello",
		"space before the length's colon", ok+"Content-Length : 5\r\n\r\nhello",
	), right(
		"a length", long("5"), "hello",
		"a length that Connection names", ok+"Connection: content-length\r\n"+five+"\r\nhello", "hello",
		"chunks", ok+coded+"\r\n"+chunks, "hello",
		"a body that looks like an answer", ok+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(other), other), other,
	), []reply{
		{name: "until the end", raw: ok + "\r\n" + other, close: true, want: other},
		{name: "until the end, in HTTP/1.0 that says it lives", raw: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", close: true, want: "hello"},
		{name: "a length that is not reached", raw: ok + "Content-Length: 50\r\n\r\nhello", close: true, want: "502 upstream_reset"},
		{name: "a last chunk that does not come", raw: ok + coded + "\r\n5\r\nhello\r\n", close: true, want: cut},
		{name: "the end of the trailers that does not come", raw: ok + coded + "\r\n5\r\nhello\r\n0\r\n", close: true, want: cut},
	})
}

func replyCodings() (list []reply) {
	for _, value := range []string{
		"xchunked", "x", "", "Chunked", "CHUNKED", `"chunked"`, "chunked;q=1", "chunked,", ", chunked", "chunked, chunked", "chunked, identity", "identity", "gzip, chunked", "identity, chunked", "\vchunked", "chunked\x00", "\xa0chunked",
		"chunked\r\n ", "\r\n chunked", "chunked\n", "chunked\rx",
	} {
		list = append(list, wrong(fmt.Sprintf("Transfer-Encoding: %q", value), ok+"Transfer-Encoding: "+value+"\r\n\r\n"+chunks)...)
	}
	return append(list, wrong(
		"coding twice", ok+coded+coded+"\r\n"+chunks,
		"coding twice, identity first", ok+"Transfer-Encoding: identity\r\n"+coded+"\r\n"+chunks,
		"space before the coding's colon", ok+"Transfer-Encoding : chunked\r\n\r\n"+chunks,
		"LF before the coding", ok+"X: y\nTransfer-Encoding: chunked\r\n\r\n"+chunks,
		"NUL in the coding's name", ok+"Transfer-Encoding\x00: chunked\r\n\r\n"+chunks,
	)...)
}

func replyChunks() []reply {
	of := func(rest string) string { return ok + coded + "\r\n" + rest }
	one := func(size string) string { return of(size + "\r\nhello\r\n0\r\n\r\n") }
	trailer := func(lines string) string { return of("5\r\nhello\r\n0\r\n" + lines + "\r\n\r\n") }
	return slices.Concat(torn(
		"chunk size with plus", one("+5"),
		"chunk size with 0x", one("0x5"),
		"chunk size after a space", one(" 5"),
		"chunk size before a space", one("5 "),
		"chunk size empty", one(""),
		"chunk size of no digits", one("g"),
		"chunk size over 63 bits", one("8000000000000005"),
		"chunk size of 17 digits", one("00000000000000005"),
		"chunk line ended by LF", of("5\nhello\r\n0\r\n\r\n"),
		"chunk data ended by LF", of("5\r\nhello\n0\r\n\r\n"),
		"chunk longer than its size", of("4\r\nhello\r\n0\r\n\r\n"),
		"chunk shorter than its size", of("6\r\nhello\r\n0\r\n\r\n"),
		"body ended by LF", of("5\r\nhello\r\n0\r\n\n"),
		"extension ended by LF", one("5;a\nb"),
		"extension with CR", one("5;a\rb"),
		"extension over its bound", one("5;"+strings.Repeat("a", 300)),
		"an answer where the trailers are", of("5\r\nhello\r\n0\r\n"+other),
		"trailer Content-Length", trailer("Content-Length: 5"),
		"trailer Transfer-Encoding", trailer("Transfer-Encoding: chunked"),
		"trailer Set-Cookie", trailer("Set-Cookie: a=b"),
		"trailer folded", trailer("X: a\r\n b"),
		"trailer ended by LF", trailer("X: a\nY: b"),
		"trailer with CR", trailer("X: a\rb"),
		"trailer without a colon", trailer("X"),
		"trailers over their bound", trailer("X: "+strings.Repeat("a", 9<<10)),
		"too many trailers", trailer(strings.Repeat("X: a\r\n", 128)+"X: a"),
	), wrong(
		"Trailer names Content-Length", ok+"Trailer: content-length\r\n"+coded+"\r\n"+chunks,
	), right(
		"extension", one("5;a=b"), "hello",
		"a trailer", trailer("X-Sum: 5"), "hello",
	))
}

func heads() []reply {
	with := func(lines string) string { return ok + lines + "\r\n" + five + "\r\nhello" }
	var pairs []string
	for _, name := range []string{"X Y", "X ", " X", "", "X\t", "X\x00", "X\x80", "(X)", `"X"`, "X\r", "X\n"} {
		pairs = append(pairs, fmt.Sprintf("name %q", name), with(name+": a"))
	}
	return slices.Concat(wrong(pairs...), wrong(
		"fold", with("X: a\r\n b"),
		"fold by a tab", with("X: a\r\n\tb"),
		"every line ended by LF", strings.ReplaceAll(with("X: a"), "\r\n", "\n"),
		"a field ended by LF", with("X: a\nY: b"),
		"a field ended by CR", with("X: a\rY: b"),
		"the head ended by LF", ok+five+"\nhello",
		"an answer behind bare LFs", ok+"X: a\n\n"+other,
		"NUL in a value", with("X: a\x00b"),
		"a control in a value", with("X: a\x1bb"),
		"a line without a colon", with("X"),
		"an empty line first", "\r\n"+with("X: a"),
		"a space first", " "+with("X: a"),
		"too many fields", with(strings.TrimSuffix(strings.Repeat("X: a\r\n", 128), "\r\n")),
		"a head over the bound", with("X: "+strings.Repeat("a", 64<<10)),
	), right("bytes beyond ASCII in a value", with("X: \xff\x80"), "hello"))
}

func statuses() []reply {
	line := func(first string) string { return first + "\r\n" + five + "\r\nhello" }
	var pairs []string
	for _, first := range []string{
		"HTTP/1.1", "HTTP/1.1 ", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1 200OK", "HTTP/1.1 20 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 +20 OK", "HTTP/1.1 000 OK", "HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "HTTP/1.1 999 OK", "HTTP/1.1 OK",
		"HTTP/1.1 0x1 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 O\rK", "http/1.1 200 OK", "HTTP/2.0 200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "HTTP/1.10 200 OK", "HTTP/1,1 200 OK", "ICY 200 OK", "200 OK", "hello", " HTTP/1.1 200 OK",
	} {
		pairs = append(pairs, fmt.Sprintf("status line %q", first), line(first))
	}
	return slices.Concat(wrong(pairs...), wrong(
		"204 with a length", "HTTP/1.1 204 No Content\r\n"+five+"\r\nhello",
		"204 with chunks", "HTTP/1.1 204 No Content\r\n"+coded+"\r\n"+chunks,
		"304 with both", "HTTP/1.1 304 Not Modified\r\n"+five+coded+"\r\n",
	), right(
		"a status without a phrase", line("HTTP/1.1 200"), "hello",
		"204", "HTTP/1.1 204 No Content\r\n\r\n", "204",
		"304 with a length", "HTTP/1.1 304 Not Modified\r\n"+five+"\r\n", "304",
	))
}

// leftovers are answers behind which something lies that nobody asked for: with the next request it would be taken for its answer.
func leftovers() []reply {
	list := []reply{
		{name: "a second answer", raw: ok + five + "\r\nhello" + other, want: "hello"},
		{name: "a second answer behind chunks", raw: ok + coded + "\r\n" + chunks + other, want: "hello"},
		{name: "more than the length", raw: ok + five + "\r\nhello you", want: "hello"},
		{name: "a line end behind the body", raw: ok + five + "\r\nhello\r\n", want: "hello"},
		{name: "a body of length 0", raw: ok + "Content-Length: 0\r\n\r\nhello", want: ""},
		{name: "a body of 204", raw: "HTTP/1.1 204 No Content\r\n\r\n" + other, want: "204"},
		{name: "a body of 304", raw: "HTTP/1.1 304 Not Modified\r\n" + five + "\r\nhello", want: "304"},
		{name: "a body of HEAD", raw: ok + five + "\r\nhello", method: "HEAD", want: ""},
		{name: "chunks of HEAD", raw: ok + coded + "\r\n" + chunks, method: "HEAD", want: ""},
		{name: "an interim answer behind", raw: ok + five + "\r\nhelloHTTP/1.1 100 Continue\r\n\r\n", want: "hello"},
		{name: "a second answer, later", raw: ok + five + "\r\nhello", later: other, want: "hello"},
		{name: "a byte, later", raw: ok + five + "\r\nhello", later: "\n", want: "hello"},
		{name: "408, later", raw: ok + five + "\r\nhello", later: "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", want: "hello"},
		{name: "HTTP/1.0 that does not say that it lives", raw: "HTTP/1.0 200 OK\r\n" + five + "\r\nhello", want: "hello"},
		{name: "an answer that says it is the last", raw: ok + "Connection: close\r\n" + five + "\r\nhello", want: "hello"},
		{name: "an answer that says it is the last, in a list", raw: ok + "Connection: keep-alive, CLOSE\r\n" + five + "\r\nhello", want: "hello"},
	}
	return append(list, right(
		"HTTP/1.0 that lives", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"+five+"\r\nhello", "hello",
	)...)
}

func interims() []reply {
	const hint, final = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", ok + five + "\r\nhello"
	return slices.Concat(wrong(
		"many interim answers", strings.Repeat(hint, 17)+final,
		"many 100s", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17)+final,
		"interim answers without an end", strings.Repeat(hint, 10000),
		"an interim answer with a length", "HTTP/1.1 103 Early Hints\r\n"+five+"\r\nhello"+final,
		"an interim answer with chunks", "HTTP/1.1 100 Continue\r\n"+coded+"\r\n"+chunks+final,
		"an interim answer with a fold", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n b\r\n\r\n"+final,
		"an interim answer of another version", "HTTP/2.0 103 Early Hints\r\n\r\n"+final,
		"LF behind an interim answer", hint+"\n"+final,
	), right(
		"100 unasked", "HTTP/1.1 100 Continue\r\n\r\n"+final, "hello",
		"hints", hint+hint+final, "hello",
		"an interim answer that nobody knows", "HTTP/1.1 199 X\r\n\r\n"+final, "hello",
	))
}

func switches() []reply {
	const granted = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
	list := wrong(
		"101 unasked", granted+other,
		"101 unasked, to HTTP/2", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"101 without a protocol", "HTTP/1.1 101 Switching Protocols\r\n\r\n"+other,
		"101 behind a hint", "HTTP/1.1 103 Early Hints\r\n\r\n"+granted,
	)
	const ask = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	return append(list,
		reply{name: "101 without a protocol, where one was asked for", ask: ask, raw: "HTTP/1.1 101 Switching Protocols\r\n\r\n" + other, want: invalid},
		reply{name: "101 whose protocol Connection does not name", ask: ask, raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n" + other, want: invalid},
		reply{name: "101 with a length", ask: ask, raw: strings.Replace(granted, "\r\n\r\n", "\r\n"+five+"\r\nhello", 1), want: invalid},
		reply{name: "101 to another protocol than was asked for", ask: ask, raw: strings.Replace(granted, "websocket", "h2c", 1) + other, want: invalid},
		reply{name: "200 where a protocol was asked for", ask: ask, raw: ok + five + "\r\nhello", want: "hello", kept: true},
	)
}
