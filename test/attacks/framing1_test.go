package attacks

import (
	"fmt"
	"slices"
	"strings"
)

const (
	post    = "POST /attack HTTP/1.1\r\nHost: " + host + "\r\n"
	get     = "GET /attack HTTP/1.1\r\nHost: " + host + "\r\n"
	coded   = "Transfer-Encoding: chunked\r\n"
	chunks  = "5\r\nhello\r\n0\r\n\r\n"
	chunked = post + coded + "\r\n"
	counted = "Content-Length: 5\r\n\r\nhello"
)

// refused are attacks of one status, as pairs of name and raw.
func refused(status int, pairs ...string) (list []attack) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, attack{name: pairs[i], raw: pairs[i+1], status: status})
	}
	return list
}

// read are attacks that are one request, as name, raw and what it is read as.
func read(triples ...string) (list []attack) {
	for i := 0; i < len(triples); i += 3 {
		list = append(list, attack{name: triples[i], raw: triples[i+1], reads: []string{triples[i+2]}})
	}
	return list
}

func attacks1() []attack {
	return slices.Concat(lengths(), codings(), spellings(), sizes(), trailers(), lineEnds(), names(), requestLines(), behind(), targets1(), hosts(), expectations(), upgrades())
}

var (
	posted = said("POST", "/attack", "hello")
	got    = said("GET", "/attack", "")
)

func lengths() []attack {
	with := func(field string) string { return post + field + "\r\n\r\n" + hidden }
	long := func(value string) string { return post + "Content-Length: " + value + "\r\n\r\nhello" }
	both := []attack{{name: "a field that only looks like Content-Length", raw: with("Content_Length: 51"), reads: []string{said("POST", "/attack", ""), said("GET", "/hidden", "")}}}
	return slices.Concat(both, refused(400,
		"CL.TE", post+"Content-Length: 6\r\n"+coded+"\r\n0\r\n\r\nG",
		"CL.TE, a whole request behind", post+fmt.Sprintf("Content-Length: %d\r\n", 5+len(hidden))+coded+"\r\n0\r\n\r\n"+hidden,
		"TE.CL", post+coded+"Content-Length: 4\r\n\r\n"+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden),
		"CL.TE of length 0", post+"Content-Length: 0\r\n"+coded+"\r\n"+chunks,
		"CL.TE in HTTP/1.0", "POST /attack HTTP/1.0\r\nHost: "+host+"\r\nContent-Length: 5\r\n"+coded+"\r\n"+chunks,
		"length twice, alike", post+"Content-Length: 5\r\n"+counted,
		"length twice, 0 first", post+"Content-Length: 0\r\n"+counted,
		"length twice, longer first", post+"Content-Length: 50\r\n"+counted,
		"length twice, in other letters", post+"content-length: 5\r\n"+counted,
		"length in a list", long("5, 5"),
		"length in a list of two", long("5,6"),
		"length with a comma", long("5,"),
		"length with plus", long("+5"),
		"length with minus", long("-5"),
		"length -0", long("-0"),
		"length hexadecimal", long("0x5"),
		"length hexadecimal, bare", long("a"),
		"length with exponent", long("5e0"),
		"length with point", long("5.0"),
		"length with underscore", long("1_0"),
		"length empty", long(""),
		"length in quotes", long(`"5"`),
		"length with space", long("5 5"),
		"length with parameter", long("5;a=b"),
		"length with NUL", long("5\x00"),
		"length with vertical tab", long("\v5"),
		"length with form feed", long("5\f"),
		"length in other digits", long("\xef\xbc\x95"),
		"length with no-break space", long("\xa05"),
		"length over 63 bits", long("9223372036854775808"),
		"length over 64 bits", long("18446744073709551621"),
		"length of 40 digits", long(strings.Repeat("0", 39)+"5"),
		"length folded", post+"Content-Length:\r\n 5\r\n\r\nhello",
		"length folded by a tab", post+"Content-Length: \r\n\t5\r\n\r\nhello",
		"space before the length's colon", with("Content-Length : 51"),
		"tab before the length's colon", with("Content-Length\t: 51"),
		"space before the length", with("X: y\r\n Content-Length: 51"),
		"CR before the length", with("X: y\rContent-Length: 51"),
		"LF before the length", with("X: y\nContent-Length: 51"),
		"NUL in the length's name", with("Content-Length\x00: 51"),
	), read(
		"length within spaces", long(" \t5 \t"), posted,
		"length with zeros before it", long("0005"), posted,
		"length without a space", post+"Content-Length:5\r\n\r\nhello", posted,
		"body of a GET", get+counted, said("GET", "/attack", "hello"),
		"a length that Connection names", post+"Connection: content-length\r\n"+counted, posted,
		"a body that looks like a request", post+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(hidden), hidden), said("POST", "/attack", hidden),
		"a body that looks like chunks", post+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(chunks), chunks), said("POST", "/attack", chunks),
	))
}

// codings are Transfer-Encoding in many spellings of its value.
func codings() (list []attack) {
	for value, status := range map[string]int{
		"xchunked": 400, "chunkedx": 400, "chunke": 400, "x": 400, "cow": 400, "": 400, "Chunked": 400, "CHUNKED": 400, "chunKed": 400, `"chunked"`: 400, "'chunked'": 400,
		"chunked;": 400, "chunked;q=1": 400, "chunked; a": 400, "chunked,": 400, ",chunked": 400, "chunked chunked": 400, "chunked, chunked": 400, "chunked,chunked": 400,
		"chunked, identity": 400, "identity": 400, "chunked, gzip": 400, "gzip": 400, "\vchunked": 400, "\fchunked": 400, "\x00chunked": 400, "chunked\x00": 400, "\x1fchunked": 400,
		"\xa0chunked": 400, "chunked\x85": 400, "\xffchunked": 400, "chunked\x7f": 400, "\xef\xbb\xbfchunked": 400, "=?utf-8?Q?chunked?=": 400, "chun\xe2\x84\xaaed": 400, "chunked\r\n ": 400, "\r\n chunked": 400,
		"chunked\r": 400, "\nchunked": 400, "chunked\n": 400, "\rchunked": 400, "chunked\r\n\tx": 400,
		"identity, chunked": 501, "gzip, chunked": 501, "gzip,chunked": 501, "x, chunked": 501, "cow\t,\tchunked": 501, "gzip;q=1, chunked": 400, "chunked, x, chunked": 400,
	} {
		list = append(list, attack{name: fmt.Sprintf("Transfer-Encoding: %q", value), raw: post + "Transfer-Encoding: " + value + "\r\n\r\n" + chunks, status: status})
	}
	slices.SortFunc(list, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	return list
}

// spellings are Transfer-Encoding in many spellings of its name, and with others beside it.
func spellings() []attack {
	with := func(lines string) string { return post + lines + "\r\n\r\n" + chunks }
	rest := []string{said("POST", "/attack", ""), said("GET", "/hidden", "")}
	return slices.Concat(refused(400,
		"Transfer-Encoding twice", with(coded+"Transfer-Encoding: chunked"),
		"Transfer-Encoding twice, and unlike", with(coded+"Transfer-Encoding: x"),
		"Transfer-Encoding twice, unlike first", with("Transfer-Encoding: x\r\nTransfer-Encoding: chunked"),
		"Transfer-Encoding twice, identity first", with("Transfer-Encoding: identity\r\ntransfer-encoding: chunked"),
		"Transfer-Encoding twice, empty first", with("Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
		"space before the coding's colon", with("Transfer-Encoding : chunked"),
		"tab before the coding's colon", with("Transfer-Encoding\t: chunked"),
		"space before the coding", with("X: y\r\n Transfer-Encoding: chunked"),
		"space before the coding, first of all", "POST /attack HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: "+host+"\r\n\r\n"+chunks,
		"CRLF before the coding's colon", with("Transfer-Encoding\r\n: chunked"),
		"LF before the coding's colon", with("Transfer-Encoding\n: chunked"),
		"CR before the coding's colon", with("Transfer-Encoding\r: chunked"),
		"NUL behind the coding's name", with("Transfer-Encoding\x00: chunked"),
		"NUL within the coding's name", with("Transfer-\x00Encoding: chunked"),
		"another hyphen in the coding's name", with("Transfer\xe2\x80\x91Encoding: chunked"),
		"space within the coding's name", with("Transfer Encoding: chunked"),
		"quotes around the coding's name", with(`"Transfer-Encoding": chunked`),
		"colon in the coding's name", with(":Transfer-Encoding: chunked"),
		"LF before the coding", with("X: y\nTransfer-Encoding: chunked"),
		"CR before the coding", with("X: y\rTransfer-Encoding: chunked"),
		"LFCR before the coding", with("X: y\n\rTransfer-Encoding: chunked"),
		"the coding's colon is missing", with("Transfer-Encoding chunked"),
		"two colons", with("Transfer-Encoding:: chunked"),
		"coding in HTTP/1.0", "POST /attack HTTP/1.0\r\nHost: "+host+"\r\n"+coded+"\r\n"+chunks,
		"coding in HTTP/1.0, kept alive", "POST /attack HTTP/1.0\r\nHost: "+host+"\r\nConnection: keep-alive\r\n"+coded+"\r\n"+chunks,
	), read(
		"coding after a tab", with("Transfer-Encoding:\tchunked"), posted,
		"coding without a space", with("Transfer-Encoding:chunked"), posted,
		"coding within spaces", with("Transfer-Encoding: \t chunked \t"), posted,
		"coding's name in other letters", with("tRANSFER-eNCODING: chunked"), posted,
		"a coding that Connection names", with("Connection: transfer-encoding\r\nTransfer-Encoding: chunked"), posted,
		"a coding of a GET", get+coded+"\r\n"+chunks, said("GET", "/attack", "hello"),
		"TE beside it", with("TE: gzip, chunked\r\nConnection: TE\r\nTransfer-Encoding: chunked"), posted,
	), []attack{
		{name: "a field that only looks like Transfer-Encoding", raw: post + "Transfer_Encoding: chunked\r\n\r\n" + hidden, reads: rest},
		{name: "TE in its place", raw: post + "TE: chunked\r\n\r\n" + hidden, reads: rest},
		{name: "Content-Encoding in its place", raw: post + "Content-Encoding: chunked\r\n\r\n" + hidden, reads: rest},
	})
}

// late are attacks whose head is in order.
func late(list []attack) []attack {
	for i := range list {
		list[i].late = true
	}
	return list
}

func sizes() []attack {
	one := func(size string) string { return chunked + size + "\r\nhello\r\n0\r\n\r\n" }
	return slices.Concat(late(refused(400,
		"chunk size with plus", one("+5"),
		"chunk size with minus", one("-5"),
		"chunk size -0", chunked+"-0\r\n\r\n",
		"chunk size with 0x", one("0x5"),
		"chunk size with 0X", one("0X5"),
		"chunk size with h", one("5h"),
		"chunk size after a space", one(" 5"),
		"chunk size after a tab", one("\t5"),
		"chunk size before a space", one("5 "),
		"chunk size before a tab", one("5\t"),
		"chunk size before a space and an extension", one("5 ;a"),
		"chunk size empty", one(""),
		"chunk size empty, with an extension", one(";a"),
		"chunk size of no digits", one("g"),
		"chunk size in quotes", one(`"5"`),
		"chunk size with underscore", one("0_5"),
		"chunk size with point", one("5."),
		"chunk size in other digits", one("\xef\xbc\x95"),
		"chunk size with NUL", one("5\x00"),
		"chunk size over 63 bits", one("8000000000000005"),
		"chunk size over 64 bits", one("10000000000000005"),
		"chunk size of 17 digits", one("00000000000000005"),
		"chunk size of 64 ones", one("ffffffffffffffff"),
		"chunk line ended by LF", chunked+"5\nhello\r\n0\r\n\r\n",
		"chunk line ended by CR", chunked+"5\rhello\r\n0\r\n\r\n",
		"chunk line ended by CRCRLF", chunked+"5\r\r\nhello\r\n0\r\n\r\n",
		"chunk data ended by LF", chunked+"5\r\nhello\n0\r\n\r\n",
		"chunk data ended by CR", chunked+"5\r\nhello\r0\r\n\r\n",
		"chunk data ended by nothing", chunked+"5\r\nhello0\r\n\r\n",
		"chunk data ended by two bytes", chunked+"5\r\nhelloXX0\r\n\r\n",
		"chunk longer than its size", chunked+"4\r\nhello\r\n0\r\n\r\n",
		"chunk shorter than its size", chunked+"6\r\nhello\r\n0\r\n\r\n",
		"last chunk's line ended by LF", chunked+"0\n\r\n",
		"body ended by LF", chunked+"0\r\n\n",
		"body ended by CR", chunked+"0\r\n\rX",
		"body ended by LFLF", chunked+"0\n\n",
		"a request where the trailers are", chunked+"0\r\n"+hidden,
		"extension ended by LF", one("5;a\nb"),
		"extension that is LF alone", chunked+"5;\nhello\r\n0\r\n\r\n",
		"extension with CR", one("5;a\rb"),
		"extension with NUL", one("5;a\x00b"),
		"extension with a control", one("5;a\x01b"),
		"extension that hides a size", chunked+"2;\nxx\r\n"+fmt.Sprintf("%x", len(hidden))+"\r\n0\r\n\r\n"+hidden,
		"extension over its bound", one("5;"+strings.Repeat("a", 300)),
		"extensions over their bound together", chunked+strings.Repeat("1;"+strings.Repeat("a", 200)+"\r\nx\r\n", 100)+"0\r\n\r\n",
	)), read(
		"chunk size with zeros before it", one("0000000000000005"), posted,
		"last chunk of many zeros", chunked+"5\r\nhello\r\n0000\r\n\r\n", posted,
		"extension", one("5;a=b"), posted,
		"extension that is empty", one("5;"), posted,
		"extension in quotes that looks like an end", one(`5;a="`), posted,
		"extension of the last chunk", chunked+"5\r\nhello\r\n0;a=b\r\n\r\n", posted,
		"no chunk", chunked+"0\r\n\r\n", said("POST", "/attack", ""),
		"a chunk that looks like the end", chunked+"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", said("POST", "/attack", "\r\n0\r\n\r\n"),
	))
}

func trailers() []attack {
	with := func(lines string) string { return chunked + "5\r\nhello\r\n0\r\n" + lines + "\r\n\r\n" }
	announced := func(names string) string { return post + "Trailer: " + names + "\r\n" + coded + "\r\n" + chunks }
	return slices.Concat(late(refused(400,
		"trailer Content-Length", with("Content-Length: 5"),
		"trailer Transfer-Encoding", with("Transfer-Encoding: chunked"),
		"trailer Host", with("Host: "+host),
		"trailer Authorization", with("Authorization: Bearer x"),
		"trailer Connection", with("Connection: close"),
		"trailer Trailer", with("Trailer: X"),
		"trailer TE", with("TE: trailers"),
		"trailer Upgrade", with("Upgrade: h2c"),
		"trailer Expect", with("Expect: 100-continue"),
		"trailer X-Forwarded-For", with("X-Forwarded-For: 127.0.0.1"),
		"trailer of the gateway's", with("Ebbgate-Client: a"),
		"trailer Via", with("Via: 1.1 a"),
		"trailer Cookie", with("Cookie: a=b"),
		"trailer folded", with("X: a\r\n b"),
		"trailer after a space", with(" X: a"),
		"trailer with a space before its colon", with("X : a"),
		"trailer without a colon", with("X"),
		"trailer without a name", with(": a"),
		"trailer ended by LF", with("X: a\nY: b"),
		"trailer with CR", with("X: a\rb"),
		"trailer with NUL", with("X: a\x00b"),
		"trailer with NUL in its name", with("X\x00: a"),
		"trailers ended by LF", chunked+"0\r\nX: a\r\n\n",
	)), late(refused(431,
		"trailers over their bound", with("X: "+strings.Repeat("a", 9<<10)),
		"too many trailers", with(strings.Repeat("X: a\r\n", 128)+"X: a"),
	)), refused(400,
		"Trailer names Content-Length", announced("Content-Length"),
		"Trailer names Transfer-Encoding", announced("X, transfer-encoding"),
		"Trailer names Host", announced("X,\tHost ,Y"),
		"Trailer names Authorization", announced("Authorization"),
	), read(
		"a trailer", with("X-Sum: 5"), posted,
		"a trailer that is announced", announced("X-Sum"), posted,
	))
}
