// Package servertest reads the recorded HTTP exchanges of testdata/golden/http, sends their requests as they were sent, and
// judges answers by the rules of the README there. It knows no server: tests say where one listens, and what it does
// otherwise than the original.
package servertest

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// Line is one line of a recorded scenario.
type Line struct {
	Scenario      string
	Step          int
	MasterOptions []string `json:"master_options"`
	AgentOptions  []string `json:"agent_options"`
	ZooKeeper     []struct {
		Op, Path  string
		Data      *string
		Ephemeral bool
	}
	Request       *Request
	Response      Response
	Target        string
	Poll          bool
	Unordered     bool
	ZooKeeperDown bool `json:"zookeeper_down"`
	Quirks        []string
	Before        string
}

// Request is what to send; neither body is none.
type Request struct {
	Method, Path string
	Headers      map[string]string
	Body         *string
	BodyBase64   *string `json:"body_base64"`
}

// Response is an answer: its headers by their lower-case names, its body unpacked.
type Response struct {
	Status  int
	Headers map[string]string
	Body    string
}

// Has tells whether the exchange shows the quirk.
func (l Line) Has(quirk string) bool { return slices.Contains(l.Quirks, quirk) }

// Scenario reads a file of recordings.
func Scenario(path string) ([]Line, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var lines []Line
	for d := json.NewDecoder(bufio.NewReader(file)); ; {
		var l Line
		switch err := d.Decode(&l); {
		case errors.Is(err, io.EOF):
			return lines, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		lines = append(lines, l)
	}
}

// Send sends the request as it is, on a connection of its own.
func (r *Request) Send(addr net.Addr) (Response, error) {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return Response{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	text, err := r.text(addr.String())
	if err != nil {
		return Response{}, err
	}
	if _, err := conn.Write(text); err != nil {
		return Response{}, err
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.Method})
	if err != nil {
		return Response{}, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	defer answer.Body.Close()
	data, err := unpack(answer)
	if err != nil {
		return Response{}, fmt.Errorf("%s %s: %w", r.Method, r.Path, err)
	}
	got := Response{Status: answer.StatusCode, Headers: map[string]string{}, Body: string(data)}
	for name, values := range answer.Header {
		got.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return got, nil
}

func (r *Request) text(host string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", r.Method, r.Path, host)
	for name, value := range r.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	var body []byte
	switch {
	case r.Body != nil:
		body = []byte(*r.Body)
	case r.BodyBase64 != nil:
		var err error
		if body, err = base64.StdEncoding.DecodeString(*r.BodyBase64); err != nil {
			return nil, err
		}
	default:
		b.WriteString("\r\n")
		return b.Bytes(), nil
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.Bytes(), nil
}

func unpack(answer *http.Response) ([]byte, error) {
	packed, err := io.Reader(answer.Body), error(nil)
	switch answer.Header.Get("Content-Encoding") {
	case "gzip":
		packed, err = gzip.NewReader(packed)
	case "deflate":
		packed, err = zlib.NewReader(packed)
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(packed)
}
