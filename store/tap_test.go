package store

import (
	"context"
	"net"
	"slices"
	"sync"
)

// What go-zookeeper v1.0.4 does wrong that matters here, what guards against it, and the test that fails without:
//
//	sets watches again from a zxid read unguarded, or past a change    transport: they ring   TestWatchRingsAtTheNextConnection…
//	says nothing when a server refuses that                            transport: they ring   the same, TestTasksAreStillWatched…
//	tries it for ever when a server hangs up on it                     transport: they ring   TestWatchRingsAtTheNextConnection…
//	keeps the channel of each watch over any number of connections     transport: they ring   TestWhatIsRememberedIsNotAskedAgain…
//	authenticates behind requests that wait already                    transport              TestConnectionsAreAuthenticatedBefore…
//	hangs for good when it cannot send the credential again            transport              TestConnectionLostWhileAuthenticating…
//	asks a server that refuses the credential again at once            connect                TestRefusedCredential…
//	blocks its caller while a send does                                once                   TestRequestsEndWithTheirContextWhile…
//	waits for ever for an answer while pings are answered              once: patience         TestRequestThatIsNeverAnsweredEnds
//	sends on a later connection what was given up on this one          servers.Next           TestRequestThatWasGivenUp…
//	waits for minutes, or for ever, for a welcome                      connect: granting      TestServerThatStopsInTheMiddle…
//	claims its last zxid for ever, which a restored store refuses      transport: forget      TestStoreThatHasNotComeAsFar…
//	panics at, or allocates for, answers of garbage                    decodable, welcomed    TestAnswersThatMakeNoSense…
//	allocates for a welcome of any length                              transport: maxWelcome  the same
//	resolves names once, and needs them all                            dialer, servers        TestNameIsResolvedAtEachConnection, TestUnresolvableServer…
//	hangs over a request that comes in while it closes                 finish                 TestClosingWhileRequestsComeIn…
//
// A stalled connection it notices itself (TestStalledConnectionIsGivenUpWithinTheSessionTimeOut), and it shuffles the
// servers (TestNotEverybodyBeginsWithTheSameServer).

// tap is a dialer whose connections can be tampered with frame by frame, in both directions. The functions get whole
// frames, with their length, and give what is passed on instead; an error breaks the connection.
type tap struct {
	// server makes connections; a plain dialer by default.
	server func(ctx context.Context, network, address string) (net.Conn, error)

	mu        sync.Mutex // guards all below
	request   func(connection int, operation int32, frame []byte) ([]byte, error)
	answer    func(connection int, operation int32, frame []byte) ([]byte, error)
	asked     [][]int32 // operations sent, by connection; the wish for a session is 0
	newest    *tappedConn
	addresses []string // dialled
}

type tappedConn struct {
	net.Conn
	tap        *tap
	number     int
	operations map[int32]int32 // by xid; guarded by tap.mu
	welcomed   bool            // the reader's, like said
	said       frameReader
}

func (t *tap) dial(ctx context.Context, network, address string) (net.Conn, error) {
	t.mu.Lock()
	t.addresses = append(t.addresses, address)
	t.mu.Unlock()
	dial := t.server
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	conn, err := dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest = &tappedConn{Conn: conn, tap: t, number: len(t.asked), operations: make(map[int32]int32)}
	t.asked = append(t.asked, nil)
	return t.newest, nil
}

// tamper changes what is done to frames from now on; nil is nothing.
func (t *tap) tamper(request, answer func(connection int, operation int32, frame []byte) ([]byte, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.request, t.answer = request, answer
}

// cut closes the newest connection.
func (t *tap) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest.Close()
}

// connections are the operations sent on each connection so far, pings left out.
func (t *tap) connections() [][]int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([][]int32, len(t.asked))
	for i, operations := range t.asked {
		all[i] = slices.Clone(operations)
	}
	return all
}

func (c *tappedConn) Write(frame []byte) (int, error) {
	c.tap.mu.Lock()
	var operation int32
	if len(c.tap.asked[c.number]) > 0 {
		operation = number(frame[8:])
		c.operations[number(frame[4:])] = operation
	}
	const ping = 11
	if operation != ping {
		c.tap.asked[c.number] = append(c.tap.asked[c.number], operation)
	}
	change := c.tap.request
	c.tap.mu.Unlock()
	sent := frame
	if change != nil {
		var err error
		if sent, err = change(c.number, operation, slices.Clone(frame)); err != nil {
			c.Close()
			return 0, err
		}
	}
	if _, err := c.Conn.Write(sent); err != nil {
		return 0, err
	}
	return len(frame), nil
}

func (c *tappedConn) Read(p []byte) (int, error) {
	return c.said.read(p, c.Conn, func(frame []byte) ([]byte, error) {
		c.tap.mu.Lock()
		change := c.tap.answer
		var operation int32
		if c.welcomed {
			operation = c.operations[number(frame[4:])]
			if number(frame[4:]) == xidEvent {
				operation = xidEvent
			}
		}
		c.welcomed = true
		c.tap.mu.Unlock()
		if change == nil {
			return frame, nil
		}
		changed, err := change(c.number, operation, frame)
		if err != nil {
			c.Close()
		}
		return changed, err
	})
}
