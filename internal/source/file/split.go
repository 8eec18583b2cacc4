package file

import "bytes"

// chunk is the text of one document and how many lines of its file stand above it.
type chunk struct {
	text  []byte
	above int
}

// split cuts a stream into documents at the lines that YAML 1.2.2 section 9.1 calls document markers. A marker at the
// first column ends whatever is open, so that no scalar can hold one. Chunks without content (comments, directives) go
// with the document that follows.
func split(text []byte) []chunk {
	text = bytes.TrimPrefix(text, []byte("\uFEFF"))
	var chunks []chunk
	start, startLine, open, content := 0, 0, false, false
	cut := func(end, line int) {
		if content {
			chunks = append(chunks, chunk{text[start:end], startLine})
		}
		start, startLine, open, content = end, line, false, false
	}
	for offset, line := 0, 0; offset < len(text); line++ {
		end := len(text)
		if i := bytes.IndexByte(text[offset:], '\n'); i >= 0 {
			end = offset + i + 1
		}
		row := text[offset:end]
		switch {
		case marker(row, "---"):
			if open || content {
				cut(offset, line)
			}
			open, content = true, !empty(row[3:])
		case marker(row, "..."):
			cut(end, line+1)
		case !empty(row) && (open || content || row[0] != '%'):
			content = true
		}
		offset = end
	}
	cut(len(text), 0)
	return chunks
}

// marker tells whether the row begins with the marker as a word of its own.
func marker(row []byte, mark string) bool {
	if !bytes.HasPrefix(row, []byte(mark)) {
		return false
	}
	return len(row) == len(mark) || bytes.IndexByte([]byte(" \t\r\n"), row[len(mark)]) >= 0
}

// empty tells whether nothing but a comment stands in the row.
func empty(row []byte) bool {
	row = bytes.TrimLeft(row, " \t\r\n")
	return len(row) == 0 || row[0] == '#'
}
