package store

import (
	"encoding/binary"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

func TestAnswersThatMakeNoSenseNeverReachTheLibrary(t *testing.T) {
	reply := func(frame []byte, body ...int32) []byte {
		return sized(appendNumbers(slices.Clone(frame[:4+replyHeaderSize]), body...))
	}
	for name, garbage := range map[string]func(operation int32, frame []byte) []byte{
		"an answer without its header": func(operation int32, frame []byte) []byte {
			if operation == codeGetData {
				return sized(frame[:8])
			}
			return frame
		},
		"a list longer than its answer": func(operation int32, frame []byte) []byte {
			if operation == codeGetChildren {
				return reply(frame, math.MaxInt32)
			}
			return frame
		},
		"a list of less than nothing": func(operation int32, frame []byte) []byte {
			if operation == codeGetChildren {
				return reply(frame, -1)
			}
			return frame
		},
		"data longer than its answer": func(operation int32, frame []byte) []byte {
			if operation == codeGetData {
				return reply(frame, math.MaxInt32)
			}
			return frame
		},
		"a transaction's answer that breaks off": func(operation int32, frame []byte) []byte {
			if operation == codeMulti {
				return reply(frame, codeCreate)
			}
			return frame
		},
		"a transaction's answer of unknown parts": func(operation int32, frame []byte) []byte {
			if operation == codeMulti {
				return reply(frame, 77, 0, 0)
			}
			return frame
		},
		"an answer of two gigabytes": func(operation int32, frame []byte) []byte {
			if operation == codeGetData {
				binary.BigEndian.PutUint32(frame, math.MaxInt32)
			}
			return frame
		},
		"a session without a time-out": func(operation int32, frame []byte) []byte {
			if operation == 0 {
				clear(frame[8:12])
			}
			return frame
		},
		"an HTTP server": func(operation int32, frame []byte) []byte {
			if operation == 0 {
				return []byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			}
			return frame
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, links func() *links) {
				l := &tap{server: links().dial}
				s := open(t, Options{Servers: "server:1", Dial: l.dial})
				must(t, s.session.create(t.Context(), "/a", []byte("b"), 0))
				spoilt := 0
				l.tamper(nil, func(_ int, operation int32, frame []byte) ([]byte, error) {
					if spoiled := garbage(operation, slices.Clone(frame)); spoilt < 2 && !slices.Equal(spoiled, frame) {
						spoilt++
						return spoiled, nil
					}
					return frame, nil
				})
				l.cut()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				_, err := s.session.get(t.Context(), "/a")
				must(t, err)
				_, err = s.session.children(t.Context(), "")
				must(t, err)
				must(t, s.CreateJob(t.Context(), sample("web")))
				runtime.ReadMemStats(&after)
				if spoilt != 2 {
					t.Errorf("spoilt %d answers", spoilt)
				}
				if used := after.TotalAlloc - before.TotalAlloc; used > 200<<20 {
					t.Errorf("%d MB were allocated", used>>20)
				}
			})
		})
	}
}

func TestServerThatStopsInTheMiddleOfItsWelcomeIsLeftInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := &tap{server: dial().dial}
		l.tamper(nil, func(connection int, operation int32, frame []byte) ([]byte, error) {
			if connection == 0 && operation == 0 {
				return frame[:10], nil
			}
			return frame, nil
		})
		s := open(t, Options{Servers: "server:1", Dial: l.dial, ConnectTimeout: 3 * time.Second})
		time.Sleep(5 * time.Second)
		if !s.Connected() {
			t.Error("not connected")
		}
	})
}
