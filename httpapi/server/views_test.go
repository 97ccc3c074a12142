package server_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/helios-go/helios/httpapi/server"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/zkserver"
)

// TestHealthNamesWhatIsTooOld is a master whose store is away for an hour, in virtual time: for the first minute the
// document is the original's to the letter.
func TestHealthNamesWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		zk, err := zkserver.New(zkserver.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var away atomic.Bool
		var newest atomic.Pointer[net.Conn]
		st, err := store.Open(store.Options{Servers: "server:1", Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			if away.Load() {
				return nil, errors.New("away")
			}
			conn, err := zk.Dial(network, address, time.Second)
			newest.Store(&conn)
			return conn, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		served, kept := make(chan error, 1), make(chan error, 1)
		go func() { served <- zk.Run(ctx) }()
		go func() { kept <- st.KeepMaster(ctx, "m1") }()
		defer func() {
			cancel()
			<-kept
			st.Close()
			<-served
		}()
		srv, err := server.New(server.Options{Store: st, Version: "0.10.0"})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(h http.Handler, path string) (int, string) {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
			return w.Code, w.Body.String()
		}
		wants := func(when string, status int, document string) {
			t.Helper()
			if code, body := ask(srv.AdminHandler(), "/healthcheck"); code != status || body != document {
				t.Errorf("%s: %d %s\nwant %d %s", when, code, body, status, document)
			}
		}
		const (
			begin  = `{"deadlocks":{"healthy":true},`
			well   = `"zookeeper":{"healthy":true}}`
			unwell = `"zookeeper":{"healthy":false,"message":"CuratorZookeeperClient reports that it is not connected"}}`
		)
		time.Sleep(10 * time.Minute)
		wants("all well", 200, begin+well)
		age := func() (views string) {
			t.Helper()
			status, views := ask(srv.Handler(), "/v1/views")
			if status != 200 {
				t.Errorf("views: %d %s", status, views)
			}
			return views
		}
		if views := age(); !strings.HasPrefix(views, `{"registering master m1":{"begun":946684800000,"confirmed":9466`) || !strings.HasSuffix(views, `,"stale":false,"error":null}}`) {
			t.Errorf("views %s", views)
		}
		away.Store(true)
		(*newest.Load()).Close()
		synctest.Wait()
		wants("just away", 500, begin+unwell)
		time.Sleep(time.Hour)
		if code, body := ask(srv.AdminHandler(), "/healthcheck"); code != 500 || !strings.HasPrefix(body,
			begin+`"views":{"healthy":false,"message":"registering master m1: confirmed last at 2000-01-01T00:09:`) || !strings.HasSuffix(body, unwell) {
			t.Errorf("away for an hour: %d %s", code, body)
		}
		if views := age(); !strings.Contains(views, `"stale":true,"error":"zookeeper is not available: no connection for `) {
			t.Errorf("views %s", views)
		}
		away.Store(false)
		time.Sleep(time.Minute)
		wants("back", 200, begin+well)
	})
}
