package dockertest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Secured is the daemon's API on a TCP port of the loopback, over TLS, for clients with a certificate of its authority.
type Secured struct {
	Endpoint string // tcp://…
	CertPath string // a directory with ca.pem, cert.pem and key.pem for clients
}

// Secure offers the daemon over TLS until the test ends.
func (d *Daemon) Secure() Secured {
	d.t.Helper()
	socket, ok := strings.CutPrefix(d.client.DaemonHost(), "unix://")
	if !ok {
		d.t.Fatalf("the daemon is at %s, want a unix socket", d.client.DaemonHost())
	}
	certs, config := Certificates(d.t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		d.t.Fatal(err)
	}
	var links sync.WaitGroup
	ended := make(chan struct{})
	links.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			links.Go(func() { pass(conn, socket, ended) })
		}
	})
	d.t.Cleanup(func() {
		close(ended)
		listener.Close()
		links.Wait()
	})
	return Secured{Endpoint: "tcp://" + listener.Addr().String(), CertPath: certs}
}

// pass links a client with the socket until one of them closes, or ended is closed.
func pass(conn net.Conn, socket string, ended <-chan struct{}) {
	defer conn.Close()
	daemon, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer daemon.Close()
	over := make(chan struct{}, 2)
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, daemon}, {daemon, conn}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			over <- struct{}{}
		})
	}
	select {
	case <-over:
	case <-ended:
	}
	conn.Close()
	daemon.Close()
	both.Wait()
}

// Certificates makes an authority, with a directory of what a client of it needs, and the configuration of a server on
// 127.0.0.1 that takes no other clients.
func Certificates(t testing.TB) (clientDir string, server *tls.Config) {
	t.Helper()
	clientDir = t.TempDir()
	now := time.Now()
	sign := func(serial int64, template, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if signer == nil {
			signer = key
		}
		template.SerialNumber, template.Subject = big.NewInt(serial), pkix.Name{CommonName: "helios test"}
		template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
		if err != nil {
			t.Fatal(err)
		}
		return der, key
	}
	write := func(name, kind string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(clientDir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	root := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	rootDER, rootKey := sign(1, root, root, nil)
	root, err := x509.ParseCertificate(rootDER)
	if err != nil {
		t.Fatal(err)
	}
	serverDER, serverKey := sign(2, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, root, rootKey)
	clientDER, clientKey := sign(3, &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, root, rootKey)
	keyDER, err := x509.MarshalECPrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", rootDER)
	write("cert.pem", "CERTIFICATE", clientDER)
	write("key.pem", "EC PRIVATE KEY", keyDER)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return clientDir, &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{serverDER}, PrivateKey: serverKey}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: roots, MinVersion: tls.VersionTLS12,
	}
}
