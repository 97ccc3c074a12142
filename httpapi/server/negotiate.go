package server

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	typeJSON = "application/json"
	typeText = "text/plain"
)

// acceptable reports whether an Accept header admits a media type. No header admits all, and q=0 excludes nothing
// (http §1.2 step 6). "*" alone is what old Java clients send for "*/*".
func acceptable(header []string, mediaType string) bool {
	all := strings.Join(header, ",")
	if strings.TrimSpace(all) == "" {
		return true
	}
	group, _, _ := strings.Cut(mediaType, "/")
	for item := range strings.SplitSeq(all, ",") {
		name, _, _ := strings.Cut(item, ";")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "*", "*/*", group + "/*", mediaType:
			return true
		}
	}
	return false
}

// isJSON reports whether a request's Content-Type is one of those that a JSON body may have, and whether it is a media
// type at all or missing (http §1.3).
func isJSON(header string) (json, valid bool) {
	mediaType, _, _ := strings.Cut(strings.ToLower(header), ";")
	group, sub, ok := strings.Cut(strings.TrimSpace(mediaType), "/")
	if !ok || group == "" || sub == "" {
		return false, mediaType == ""
	}
	switch sub {
	case "json", "javascript", "x-javascript", "x-json":
		return true, true
	}
	return strings.HasSuffix(sub, "+json"), true
}

// encoding is the way to pack an answer's body for a client, "" for none. Only answers of status 200 to 299 to GET and
// POST are packed (http §1.7), so an empty or an error body never is.
func encoding(r *http.Request, code int, body []byte) string {
	if r.Method != http.MethodGet && r.Method != http.MethodPost || len(body) == 0 || code < 200 || code > 299 {
		return ""
	}
	chosen := ""
	for item := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		if refused(params) {
			continue
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip", "x-gzip":
			return "gzip"
		case "deflate":
			chosen = "deflate"
		}
	}
	return chosen
}

// refused reports whether the parameters of a coding are q=0.
func refused(params string) bool {
	q, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(params), " ", ""), "q=")
	if !ok {
		return false
	}
	value, err := strconv.ParseFloat(q, 64)
	return err == nil && value == 0
}

// packer is what gzip and zlib have in common.
type packer interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// A packer is more work to make, and at higher levels even to make ready again, than most bodies are to pack.
var (
	gzips = sync.Pool{New: func() any { return packerOf(gzip.NewWriterLevel(nil, gzip.BestSpeed)) }}
	zlibs = sync.Pool{New: func() any { return packerOf(zlib.NewWriterLevel(nil, zlib.BestSpeed)) }}
)

func packerOf(w packer, err error) packer {
	if err != nil {
		panic(err) // the level is one that there is
	}
	return w
}

// pack encodes a body as gzip or, in zlib's format, deflate.
func pack(body []byte, encoding string) []byte {
	idle := &gzips
	if encoding == "deflate" {
		idle = &zlibs
	}
	w := idle.Get().(packer)
	defer idle.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}
