package agent

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"golang.org/x/sys/unix"

	"github.com/helios-go/helios/store/host"
	"github.com/helios-go/helios/supervisor/docker"
)

// javaArchitectures are the names that the original has for processors (agent §8).
var javaArchitectures = map[string]string{"386": "i386", "arm64": "aarch64"}

// hostInfo is what this machine says of itself now; what cannot be learned stays empty.
func hostInfo(ctx context.Context, engine *docker.Engine, certPath string) host.Info {
	info := host.Info{
		Architecture: new(runtime.GOARCH),
		CPUs:         int32(runtime.NumCPU()),
		LoadAvg:      -1,
		DockerHost:   new(engine.Endpoint().URL),
	}
	if name, known := javaArchitectures[runtime.GOARCH]; known {
		info.Architecture = &name
	}
	if certPath != "" {
		info.DockerCertPath = &certPath
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		text := func(field [65]byte) string { return unix.ByteSliceToString(field[:]) }
		info.Hostname = new(text(u.Nodename))
		info.OSName = new(text(u.Sysname))
		info.OSVersion = new(text(u.Release))
		info.Uname = new(strings.Join([]string{
			text(u.Sysname), text(u.Nodename), text(u.Release), text(u.Version), text(u.Machine), "GNU/Linux",
		}, " "))
	}
	if average, err := load.AvgWithContext(ctx); err == nil {
		info.LoadAvg = average.Load1
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		info.MemoryTotalBytes, info.MemoryFreeBytes = int64(memory.Total), int64(memory.Free)
	}
	if swap, err := mem.SwapMemoryWithContext(ctx); err == nil {
		info.SwapTotalBytes, info.SwapFreeBytes = int64(swap.Total), int64(swap.Free)
	}
	if v, err := engine.Version(ctx); err == nil {
		info.DockerVersion = &host.DockerVersion{
			APIVersion: &v.APIVersion, Arch: &v.Arch, GitCommit: &v.GitCommit, GoVersion: &v.GoVersion,
			KernelVersion: &v.KernelVersion, OS: &v.OS, Version: &v.Version,
		}
	}
	return info
}

// agentInfo is what this process says of itself. The members are those of a Java process (agent Q43); its arguments
// are left out, since environment values among them may be secret.
func agentInfo(started, now time.Time, version, hostname string) host.AgentInfo {
	return host.AgentInfo{
		InputArguments: []string{},
		Name:           new(fmt.Sprintf("%d@%s", os.Getpid(), hostname)),
		SpecName:       new("Helios agent"),
		SpecVendor:     new("helios-go"),
		SpecVersion:    &version,
		StartTime:      started.UnixMilli(),
		Uptime:         now.Sub(started).Milliseconds(),
		Version:        &version,
		VMName:         new("Go"),
		VMVendor:       new(runtime.Compiler),
		VMVersion:      new(runtime.Version()),
	}
}
