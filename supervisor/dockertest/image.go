package dockertest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/moby/client"
)

// program is the whole of the workload image's /probe.
const program = `package main

import (
	"os"

	"github.com/helios-go/helios/roles/workload"
)

func main() { os.Exit(workload.Main(os.Args[1:], os.Stdout, os.Stderr)) }
`

// probe builds the workload once per test process. It is not the helios binary, which is larger by far and would tie the
// tests of each package to all others.
var probe = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "probe")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		return nil, err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the workload: %w\n%s", err, out)
	}
	return os.ReadFile(binary)
})

// Probe returns an image that holds the workload as /probe, its entry point, with the command `http`; it exposes no
// port. See the package workload for its other commands.
func Probe(t testing.TB) v1.Image {
	t.Helper()
	binary, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	return image(t, v1.Config{Entrypoint: []string{"/probe"}, Cmd: []string{"http"}}, file{"probe", binary})
}

// Busybox returns an image that holds Debian's busybox-static as /bin/sh, its command, and as /bin/busybox.
func Busybox(t testing.TB) v1.Image {
	t.Helper()
	binary, err := os.ReadFile("/bin/busybox")
	if err != nil {
		if os.Getenv("HELIOS_E2E") == "1" {
			t.Fatalf("install Debian's busybox-static: %v", err)
		}
		t.Skipf("install Debian's busybox-static: %v", err)
	}
	return image(t, v1.Config{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}},
		file{"bin/busybox", binary}, file{"bin/sh", binary})
}

// Calling returns the image with another entry point and command.
func Calling(t testing.TB, img v1.Image, entrypoint []string, command ...string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	calling := config.Config.DeepCopy()
	calling.Entrypoint, calling.Cmd = entrypoint, command
	if img, err = mutate.Config(img, *calling); err != nil {
		t.Fatal(err)
	}
	return img
}

// Foreign returns an image whose /bin/sh is a program for a processor that there is none of.
func Foreign(t testing.TB) v1.Image {
	t.Helper()
	binary, err := probe()
	if err != nil {
		t.Fatal(err)
	}
	const machine = 18 // offset in an ELF header
	foreign := bytes.Clone(binary)
	foreign[machine], foreign[machine+1] = 0xff, 0x7f
	return image(t, v1.Config{Cmd: []string{"/bin/sh"}}, file{"bin/sh", foreign})
}

// Exposing returns the image with ports that it says it listens on, such as 11211/tcp.
func Exposing(t testing.TB, img v1.Image, ports ...string) v1.Image {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	exposing := config.Config.DeepCopy()
	exposing.ExposedPorts = make(map[string]struct{})
	for _, port := range ports {
		exposing.ExposedPorts[port] = struct{}{}
	}
	if img, err = mutate.Config(img, *exposing); err != nil {
		t.Fatal(err)
	}
	return img
}

// Heavy returns the image with one more layer, of so many bytes that no daemon has yet: a pull has to fetch them.
func Heavy(t testing.TB, img v1.Image, size int) v1.Image {
	t.Helper()
	layer, err := random.Layer(int64(size), types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, layer); err != nil {
		t.Fatal(err)
	}
	return img
}

// file is an executable of an image.
type file struct {
	path string
	data []byte
}

// image returns an image of one layer.
func image(t testing.TB, config v1.Config, files ...file) v1.Image {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.path, Mode: 0o755, Size: int64(len(f.data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	opened := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil }
	content, err := tarball.LayerFromOpener(opened, tarball.WithCompressedCaching)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, content)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.Config(img, config); err != nil {
		t.Fatal(err)
	}
	return img
}

// unique returns the image with an id that it has in this test only, so that tests do not remove each other's images.
func (d *Daemon) unique(img v1.Image) v1.Image {
	d.t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		d.t.Fatal(err)
	}
	config = config.DeepCopy()
	config.Author = d.Host
	config.OS, config.Architecture = "linux", runtime.GOARCH
	if img, err = mutate.ConfigFile(img, config); err != nil {
		d.t.Fatal(err)
	}
	return img
}

// Load gives the daemon the image under the reference, without a registry, and removes it when the test ends. A name that
// the daemon has already is left as it is. Name it 127.0.0.1:1/… where a pull is to fail at once (nothing listens there).
func (d *Daemon) Load(reference string, img v1.Image) {
	d.t.Helper()
	ctx, cancel := d.request()
	defer cancel()
	if _, err := d.client.ImageInspect(ctx, reference); err == nil {
		return
	}
	tag, err := name.NewTag(reference)
	if err != nil {
		d.t.Fatal(err)
	}
	d.images = append(d.images, reference)
	var archive bytes.Buffer
	if err := tarball.Write(tag, d.unique(img), &archive); err != nil {
		d.t.Fatal(err)
	}
	progress, err := d.client.ImageLoad(ctx, &archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		d.t.Fatal(err)
	}
	defer progress.Close()
	if answer, err := io.ReadAll(progress); err != nil || bytes.Contains(answer, []byte(`"error"`)) {
		d.t.Fatalf("load %s: %v: %s", reference, err, answer)
	}
}

// Forget has the daemon's copy of an image removed when the test ends, however it came there.
func (d *Daemon) Forget(reference string) { d.images = append(d.images, reference) }
