package storetest_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/helios-go/helios/store/storetest"
)

func TestFreePortsAreThereForWhoeverNamesThem(t *testing.T) {
	t.Parallel()
	first := storetest.FreePorts(t, 2)
	addresses := []string{storetest.FreeAddr(t), ":" + strconv.Itoa(first), "127.0.0.1:" + strconv.Itoa(first+1)}
	for _, address := range addresses {
		for range 2 {
			_, port, _ := net.SplitHostPort(address)
			if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
				c.Close()
				t.Errorf("somebody listens on %s", address)
			}
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := net.Listen("tcp", address); err == nil {
				again.Close()
				t.Errorf("two listen on %s", address)
			}
			l.Close()
		}
	}
}

func TestFreePortsAreGivenToNobodyWhoAsksForAny(t *testing.T) {
	t.Parallel()
	given := make(map[string]bool)
	for range 100 {
		for _, address := range []string{storetest.FreeAddr(t), ":" + strconv.Itoa(storetest.FreePorts(t, 1))} {
			_, port, _ := net.SplitHostPort(address)
			if given[port] {
				t.Errorf("port %s is given twice", port)
			}
			given[port] = true
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if _, port, _ := net.SplitHostPort(l.Addr().String()); given[port] {
			t.Errorf("the system gives port %s to another", port)
		}
	}
}
