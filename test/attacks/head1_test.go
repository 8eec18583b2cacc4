package attacks

import (
	"fmt"
	"slices"
	"strings"
)

func lineEnds() []attack {
	return slices.Concat(refused(400,
		"every line ended by LF", "GET /attack HTTP/1.1\nHost: "+host+"\n\n",
		"the request line ended by LF", "GET /attack HTTP/1.1\nHost: "+host+"\r\n\r\n",
		"a field ended by LF", get+"X: a\nY: b\r\n\r\n",
		"the head ended by LF", get+"X: a\r\n\n",
		"the head ended by LFCRLF", get+"X: a\n\r\n",
		"the request line ended by CR", "GET /attack HTTP/1.1\rHost: "+host+"\r\n\r\n",
		"a field ended by CR", get+"X: a\rY: b\r\n\r\n",
		"a field ended by CRCRLF", get+"X: a\r\r\n\r\n",
		"the head ended by CRCRLF", get+"X: a\r\n\r\r\n",
		"CR in a name", get+"X\rY: a\r\n\r\n",
		"LF in a name", get+"X\nY: a\r\n\r\n",
		"a request behind bare LFs", get+"X: a\n\n"+hidden,
		"a request behind bare CRs", get+"X: a\r\r"+hidden,
		"a request behind NUL", get+"X: a\x00\r\n\r\n",
		"an empty line first", "\r\n"+get+"\r\n",
		"an empty line of LF first", "\n"+get+"\r\n",
		"many empty lines first", strings.Repeat("\r\n", 20)+get+"\r\n",
		"CR first", "\r"+get+"\r\n",
		"a space first", " "+get+"\r\n",
		"a tab first", "\t"+get+"\r\n",
		"NUL first", "\x00"+get+"\r\n",
		"a byte order mark first", "\xef\xbb\xbf"+get+"\r\n",
		"fold", get+"X: a\r\n b\r\n\r\n",
		"fold by a tab", get+"X: a\r\n\tb\r\n\r\n",
		"fold of spaces alone", get+"X: a\r\n  \r\n\r\n",
		"fold of the first field", "GET /attack HTTP/1.1\r\n X: a\r\nHost: "+host+"\r\n\r\n",
		"fold of Host", "GET /attack HTTP/1.1\r\nHost:\r\n "+host+"\r\n\r\n",
		"fold before the empty line", get+"X: a\r\n \r\n\r\n",
		"NUL in a value", get+"X: a\x00b\r\n\r\n",
		"a control in a value", get+"X: a\x1bb\r\n\r\n",
		"DEL in a value", get+"X: a\x7fb\r\n\r\n",
		"vertical tab in a value", get+"X: a\vb\r\n\r\n",
	), read(
		"bytes beyond ASCII in a value", get+"X: \xff\x80\xe2\x80\xa8\r\n\r\n", got,
		"a tab in a value", get+"X: a\tb\r\n\r\n", got,
		"no value", get+"X:\r\n\r\n", got,
		"escapes in a value", get+"X: %0d%0aContent-Length: 5%0d%0a\r\n\r\n", got,
	))
}

func names() []attack {
	var pairs []string
	for _, name := range []string{"X Y", "X ", "X\t", " X", "", "(X)", "X,Y", "X/Y", "X@Y", "[X]", "{X}", "X;Y", "X=Y", "X\\Y", `"X"`, "X\x7fY", "X\x80", "X\x01", "X<Y", "X?Y"} {
		pairs = append(pairs, fmt.Sprintf("name %q", name), get+name+": a\r\n\r\n")
	}
	return slices.Concat(refused(400, pairs...), refused(400,
		"a line without a colon", get+"X\r\n\r\n",
		"a request line as a field", get+"GET /hidden HTTP/1.1\r\n\r\n",
	), refused(431,
		"too many fields", get+strings.Repeat("X: a\r\n", 128)+"\r\n",
		"a value over the bound", get+"X: "+strings.Repeat("a", 64<<10)+"\r\n\r\n",
		"a head without an end", get+strings.Repeat("X: "+strings.Repeat("a", 1000)+"\r\n", 70),
	), read(
		"every letter of a token", get+"!#$%&'*+-.^_`|~09azAZ: a\r\n\r\n", got,
	))
}

func requestLines() []attack {
	line := func(first string) string { return first + "\r\nHost: " + host + "\r\n\r\n" }
	return slices.Concat(refused(400,
		"two spaces before the target", line("GET  /attack HTTP/1.1"),
		"two spaces before the version", line("GET /attack  HTTP/1.1"),
		"tab before the target", line("GET\t/attack HTTP/1.1"),
		"tab before the version", line("GET /attack\tHTTP/1.1"),
		"space behind the version", line("GET /attack HTTP/1.1 "),
		"tab behind the version", line("GET /attack HTTP/1.1\t"),
		"vertical tab before the version", line("GET /attack\vHTTP/1.1"),
		"form feed before the version", line("GET /attack\fHTTP/1.1"),
		"CR before the version", line("GET /attack\rHTTP/1.1"),
		"HTTP/0.9", "GET /attack\r\n",
		"HTTP/0.9 with fields", line("GET /attack"),
		"HTTP/0.9 with a space", line("GET /attack "),
		"no target", line("GET HTTP/1.1"),
		"no method", line("/attack HTTP/1.1"),
		"no method but a space", line(" /attack HTTP/1.1"),
		"version in small letters", line("GET /attack http/1.1"),
		"version in mixed letters", line("GET /attack Http/1.1"),
		"version with a comma", line("GET /attack HTTP/1,1"),
		"version of three digits", line("GET /attack HTTP/1.10"),
		"version with zeros", line("GET /attack HTTP/01.1"),
		"version with a space", line("GET /attack HTTP /1.1"),
		"version without a digit", line("GET /attack HTTP/1."),
		"version without a point", line("GET /attack HTTP/11"),
		"version with more behind", line("GET /attack HTTP/1.1x"),
		"version with plus", line("GET /attack HTTP/+1.1"),
		"another protocol", line("GET /attack ICY/1.1"),
		"version twice", line("GET /attack HTTP/1.1 HTTP/1.1"),
		"method with a colon", line("GE:T /attack HTTP/1.1"),
		"method in brackets", line("(GET) /attack HTTP/1.1"),
		"method with NUL", line("GET\x00 /attack HTTP/1.1"),
		"method beyond ASCII", line("G\xc3\x89T /attack HTTP/1.1"),
		"TLS in plain text", "\x16\x03\x01\x00\x05hello",
		"a line of SSH", "SSH-2.0-x\r\n\r\n",
	), refused(505,
		"HTTP/0.9 by name", line("GET /attack HTTP/0.9"),
		"HTTP/1.2", line("GET /attack HTTP/1.2"),
		"HTTP/2.0", line("GET /attack HTTP/2.0"),
		"HTTP/3.0", line("GET /attack HTTP/3.0"),
		"HTTP/2's preface with a field", "PRI * HTTP/2.0\r\nHost: "+host+"\r\n\r\nSM\r\n\r\n",
	), []attack{
		{name: "HTTP/1.0", raw: line("GET /attack HTTP/1.0"), reads: []string{got}, ends: true},
		{name: "HTTP/1.0, kept alive", raw: "GET /attack HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\n\r\n", reads: []string{got}},
		{name: "HTTP/1.1 that ends", raw: get + "Connection: close\r\n\r\n", reads: []string{got}, ends: true},
		{name: "HTTP/1.1 that ends, by a list", raw: get + "Connection: keep-alive, x ,\tClose\r\n\r\n", reads: []string{got}, ends: true},
	})
}

// behind are requests behind which something lies that is none.
func behind() (list []attack) {
	for name, c := range map[string]struct {
		rest   string
		status int
	}{
		"an empty line": {"\r\n", 400}, "a line end of LF": {"\n", 400}, "a byte": {"(", 400}, "a chunk": {"0\r\n\r\n", 400}, "a space": {" ", 400}, "HTTP/2's preface": {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	} {
		list = append(list,
			attack{name: name + " behind a head", raw: get + "\r\n" + c.rest, reads: []string{got}, status: c.status},
			attack{name: name + " behind a body", raw: post + counted + c.rest, reads: []string{posted}, status: c.status},
			attack{name: name + " behind chunks", raw: chunked + chunks + c.rest, reads: []string{posted}, status: c.status},
		)
	}
	slices.SortFunc(list, func(a, b attack) int { return strings.Compare(a.name, b.name) })
	return list
}

func targets1() []attack {
	of := func(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n" }
	connect := func(target, more string) string {
		return "CONNECT " + target + " HTTP/1.1\r\nHost: " + host + ":443\r\n" + more + "\r\n"
	}
	return slices.Concat(refused(400,
		"target with a space", of("/att ack"),
		"target with NUL", of("/attack\x00"),
		"target with a control", of("/attack\x01"),
		"target with DEL", of("/attack\x7f"),
		"target beyond ASCII", of("/attack\xc3\xa9"),
		"target with a fragment", of("/attack#a"),
		"target without a slash", of("attack"),
		"target that is a query", of("?attack"),
		"target * of a GET", of("*"),
		"target that is an authority", of(host+":80"),
		"target that is an escape", of("%2fattack"),
		"absolute target against Host", of("http://evil.test/attack"),
		"absolute target of another port", of("http://"+host+":81/attack"),
		"absolute target with a user", of("http://u@"+host+"/attack"),
		"absolute target with a user and a password", of("http://u:p@"+host+"/attack"),
		"absolute target with another user", of("http://"+host+"@evil.test/attack"),
		"absolute target without a host", of("http:///attack"),
		"absolute target with one slash", of("http:/attack"),
		"absolute target of another scheme", of("ftp://"+host+"/attack"),
		"absolute target of a file", of("file:///attack"),
		"absolute target with a backslash", of(`http://`+host+`\@evil.test/attack`),
		"absolute target with an empty port", of("http://"+host+":/attack"),
		"absolute target with an escape in its host", of("http://f0%2etest/attack"),
		"absolute target with a fragment", of("http://"+host+"#@evil.test/attack"),
		"absolute target without Host", "GET http://"+host+"/attack HTTP/1.1\r\n\r\n",
		"absolute target with two Hosts", "GET http://"+host+"/attack HTTP/1.1\r\nHost: "+host+"\r\nHost: "+host+"\r\n\r\n",
		"absolute target with an empty Host", "GET http://"+host+"/attack HTTP/1.1\r\nHost:\r\n\r\n",
		"dot segments behind an escaped slash", of("/x%2f..%2fattack"),
		"escape of no digits", of("/attack%zz"),
		"escape that breaks off", of("/attack%2"),
		"escaped NUL", of("/attack%00"),
		"CONNECT of a path", connect("/attack", ""),
		"CONNECT without a port", connect(host, ""),
		"CONNECT of a URL", connect("http://"+host+":443/", ""),
		"CONNECT with a length", connect(host+":443", "Content-Length: 5\r\n"),
		"CONNECT with a coding", connect(host+":443", coded),
		"CONNECT with a user", connect("u@"+host+":443", ""),
	), refused(404,
		"CONNECT", connect(host+":443", "")+hidden,
	), refused(414,
		"target over the bound", of("/attack"+strings.Repeat("a", 17<<10)),
		"a request line without an end", "GET /"+strings.Repeat("a", 70<<10),
	), read(
		"dot segments that are escaped", of("/x/%2e%2e/attack"), got,
		"absolute target", of("http://"+host+"/attack"), got,
		"absolute target in other letters", of("HTTP://"+upper+"/attack"), got,
		"absolute target with the usual port", of("http://"+host+":80/attack"), got,
	))
}

func hosts() []attack {
	with := func(lines string) string { return "GET /attack HTTP/1.1\r\n" + lines + "\r\n" }
	return slices.Concat(refused(400,
		"no Host", with(""),
		"two Hosts", with("Host: "+host+"\r\nHost: evil.test\r\n"),
		"two Hosts, the other first", with("Host: evil.test\r\nHost: "+host+"\r\n"),
		"two Hosts, alike", with("Host: "+host+"\r\nHost: "+host+"\r\n"),
		"two Hosts, one folded", with("Host: "+host+"\r\n Host: evil.test\r\n"),
		"two Hosts, one empty", with("Host:\r\nHost: "+host+"\r\n"),
		"empty Host", with("Host:\r\n"),
		"Host with a path", with("Host: "+host+"/x\r\n"),
		"Host with a query", with("Host: "+host+"?x\r\n"),
		"Host with a fragment", with("Host: "+host+"#x\r\n"),
		"Host with a user", with("Host: u@"+host+"\r\n"),
		"Host as a user", with("Host: "+host+"@evil.test\r\n"),
		"Host in a list", with("Host: "+host+", evil.test\r\n"),
		"Host with a space", with("Host: "+host+" evil.test\r\n"),
		"Host with a tab", with("Host: "+host+"\tevil.test\r\n"),
		"Host with NUL", with("Host: "+host+"\x00evil.test\r\n"),
		"Host with a backslash", with(`Host: `+host+`\x`+"\r\n"),
		"Host with a scheme", with("Host: http://"+host+"\r\n"),
		"Host with two ports", with("Host: "+host+":80:80\r\n"),
		"Host with port 0", with("Host: "+host+":0\r\n"),
		"Host with a port of letters", with("Host: "+host+":x\r\n"),
		"Host with a port too large", with("Host: "+host+":65536\r\n"),
		"Host with zeros before its port", with("Host: "+host+":080\r\n"),
		"Host with an empty port", with("Host: "+host+":\r\n"),
		"Host with an escape", with("Host: f0%2etest\r\n"),
		"Host beyond ASCII", with("Host: f\xc3\xa9.test\r\n"),
		"Host in brackets", with("Host: ["+host+"]\r\n"),
		"Host with a zone", with("Host: [fe80::1%25eth0]\r\n"),
		"Host with an empty label", with("Host: f0..test\r\n"),
		"space before Host's colon", with("Host : "+host+"\r\n"),
	), []attack{{name: "HTTP/1.0 without Host", raw: "GET /attack HTTP/1.0\r\n\r\n", status: 404}}, read(
		"Host in other letters", with("hOST: "+upper+"\r\n"), got,
	))
}

func expectations() []attack {
	with := func(lines string) string { return post + lines + counted }
	return slices.Concat(refused(400,
		"Expect behind LF", with("Expect: \n100-continue\r\n"),
		"Expect folded", with("Expect:\r\n 100-continue\r\n"),
		"space before Expect's colon", with("Expect : 100-continue\r\n"),
	), read(
		"Expect", with("Expect: 100-continue\r\n"), posted,
		"Expect in other letters", with("eXPECT: 100-Continue\r\n"), posted,
		"Expect twice", with("Expect: 100-continue\r\nExpect: 100-continue\r\n"), posted,
		"Expect of something else", with("Expect: y 100-continue\r\n"), posted,
		"Expect in a list", with("Expect: 100-continue, x\r\n"), posted,
		"Expect of chunks", post+"Expect: 100-continue\r\n"+coded+"\r\n"+chunks, posted,
		"Expect without a body", get+"Expect: 100-continue\r\n\r\n", got,
		"Expect with length 0", post+"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", said("POST", "/attack", ""),
	))
}

// upgrades are wishes for another protocol that nobody grants: what follows is the next request.
func upgrades() []attack {
	const settings, webSocket = "HTTP2-Settings: AAMAAABkAAQAAP__\r\n", "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	up := func(protocol, more string) string {
		return get + "Connection: Upgrade\r\nUpgrade: " + protocol + "\r\n" + more + "\r\n"
	}
	asked := read(
		"h2c", get+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"+settings+"\r\n", got,
		"h2c whose settings are not named", up("h2c", settings), got,
		"h2c without settings", up("h2c", ""), got,
		"h2c in other letters", up("H2C", settings), got,
		"h2c that Connection does not name", get+"Upgrade: h2c\r\n"+settings+"\r\n", got,
		"h2c in a second field", get+"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: h2c\r\n\r\n", got,
		"h2c with a body", post+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"+settings+counted, posted,
		"HTTP/2.0", up("HTTP/2.0", ""), got,
		"TLS/1.0", up("TLS/1.0", ""), got,
	)
	// A far side of HTTP/2 is asked for these by an extended CONNECT (RFC 8441), and grants or refuses it in its own way.
	passed := read(
		"a WebSocket", up("websocket", webSocket), got,
		"h2c beside a WebSocket", get+"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\n"+settings+webSocket+"\r\n", got,
		"h2c beside a WebSocket, in a second field", get+"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"+webSocket+"\r\n", got,
		"h2c behind another protocol", up("x/1, h2c", settings), got,
	)
	for i := range passed {
		passed[i].over1 = true
	}
	return slices.Concat(asked, passed)
}
