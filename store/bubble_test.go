package store

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/store/job"
	"github.com/helios-go/helios/store/zkserver"
)

// inBubble runs a test in virtual time, with a server that links reach through pipes.
func inBubble(t *testing.T, test func(t *testing.T, dial func() *links)) {
	synctest.Test(t, func(t *testing.T) {
		server, err := zkserver.New(zkserver.Options{})
		must(t, err)
		background(t, server.Run)
		test(t, func() *links {
			return &links{server: func(_ context.Context, network, address string) (net.Conn, error) {
				return server.Dial(network, address, time.Second)
			}}
		})
	})
}

func TestTimeOutsAreThoseOfTheOptions(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		for _, c := range []struct {
			opts Options
			want time.Duration
		}{
			{Options{}, 15 * time.Second},
			{Options{ConnectTimeout: 3 * time.Second}, 3 * time.Second},
			{Options{FailFast: 2 * time.Second}, 2 * time.Second},
		} {
			l := dial()
			l.cut(true)
			c.opts.Servers, c.opts.Dial = "server:1", l.dial
			s := open(t, c.opts)
			begin := time.Now()
			_, err := s.Hosts(t.Context())
			if took := time.Since(begin); !errors.Is(err, ErrUnavailable) || took != c.want {
				t.Errorf("%+v: %v after %v", c.opts, err, took)
			}
		}
	})
}

func TestServerThatSaysNothingIsLeftInTime(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		var ends []net.Conn
		l := &links{server: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			ends = append(ends, theirs)
			go func() { // takes everything in
				for p := make([]byte, 100); ; {
					if _, err := theirs.Read(p); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}}
		s := open(t, Options{Servers: "a:1,b:1,c:1", Dial: l.dial})
		time.Sleep(8 * time.Second) // three for each, and a pause
		if s.Connected() || len(ends) != 3 {
			t.Errorf("connected: %v, tried %d servers", s.Connected(), len(ends))
		}
	})
}

func TestAgentThatIsSilentForTheTimeOutIsReplaced(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		s := open(t, Options{Servers: "server:1", Dial: dial().dial})
		must(t, s.RegisterHost(t.Context(), "h1", "old"))
		must(t, s.PutHostInfo(t.Context(), "h1", host.Info{}))
		wish := Registering{Host: "h1", ID: "new", TTL: 2 * time.Minute}
		time.Sleep(119 * time.Second)
		_, err := s.RegisterAgent(t.Context(), wish)
		if other, ok := errors.AsType[*OtherAgentError](err); !ok || other.Expires > time.Second {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		_, err = s.RegisterAgent(t.Context(), wish)
		must(t, err)
		wantID(t, s, "h1", "new")
	})
}

func TestChangeWhoseEventIsLostIsToldWithinAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := dial()
		l.deaf = true
		agent, master := open(t, Options{Servers: "server:1", Dial: l.dial}), open(t, Options{Servers: "server:1", Dial: dial().dial})
		web, db := sample("web"), sample("db")
		deployed(t, master, web)
		must(t, master.CreateJob(t.Context(), db))
		told := watch(t, agent)
		synctest.Wait()
		must(t, master.Deploy(t.Context(), "h1", start(db), ""))
		must(t, master.SetGoal(t.Context(), "h1", web.ID, job.Stop, ""))
		time.Sleep(29 * time.Second)
		if got := describe(told.last()); got != "web START" {
			t.Errorf("told %q although the event was lost", got)
		}
		time.Sleep(10 * time.Second)
		if got := describe(told.last()); got != "db START, web STOP" {
			t.Errorf("told %q", got)
		}
	})
}

func TestPausesGrowBetweenFailures(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		s := open(t, Options{Servers: "server:1", Dial: dial().dial})
		_, err := s.Hosts(t.Context())
		must(t, err)
		synctest.Wait()
		var (
			last   = time.Now()
			pauses []time.Duration
		)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_ = s.session.loop(ctx, "testing", func(context.Context, *watches) error {
			pauses = append(pauses, time.Since(last))
			last = time.Now()
			if len(pauses) == 12 {
				cancel()
			}
			return errors.New("no")
		})
		for i, pause := range pauses[2:] { // the first has no pause, the second may have been rung for
			if pause < minBackOff || pause > maxBackOff || i > 0 && pause < maxBackOff && pause < pauses[i+1]*3/2-time.Millisecond {
				t.Errorf("pauses %v", pauses)
			}
		}
		if pauses[11] != maxBackOff {
			t.Errorf("pauses %v", pauses)
		}
	})
}

func TestMasterThatCannotRegisterGoesOnTrying(t *testing.T) {
	inBubble(t, func(t *testing.T, dial func() *links) {
		l := dial()
		l.cut(true)
		s := open(t, Options{Servers: "server:1", Dial: l.dial})
		background(t, func(ctx context.Context) error { return s.KeepMaster(ctx, "m1") })
		time.Sleep(time.Hour)
		l.cut(false)
		time.Sleep(5 * time.Second)
		if masters, err := s.Masters(t.Context()); err != nil || len(masters) != 1 {
			t.Errorf("masters %v, %v", masters, err)
		}
	})
}
