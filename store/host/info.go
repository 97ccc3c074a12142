package host

import "github.com/helios-go/helios/store/document"

// Info is what an agent reports of its machine. §6 (HostInfo).
type Info struct {
	Hostname         *string
	Uname            *string
	Architecture     *string
	OSName           *string
	OSVersion        *string
	CPUs             int32
	LoadAvg          float64 // over the last minute; negative if not known
	MemoryTotalBytes int64
	MemoryFreeBytes  int64
	SwapTotalBytes   int64
	SwapFreeBytes    int64
	DockerVersion    *DockerVersion // nil when the daemon does not answer
	DockerHost       *string        // unix://… or tcp://…
	DockerCertPath   *string
}

// JSON describes the document of §6.
func (i *Info) JSON() document.Value {
	return document.Object(
		document.Member{Name: "hostname", Value: document.OptionalText(&i.Hostname)},
		document.Member{Name: "uname", Value: document.OptionalText(&i.Uname)},
		document.Member{Name: "architecture", Value: document.OptionalText(&i.Architecture)},
		document.Member{Name: "osName", Value: document.OptionalText(&i.OSName)},
		document.Member{Name: "osVersion", Value: document.OptionalText(&i.OSVersion)},
		document.Member{Name: "cpus", Value: document.Int(&i.CPUs)},
		document.Member{Name: "loadAvg", Value: document.Double(&i.LoadAvg)},
		document.Member{Name: "memoryTotalBytes", Value: document.Long(&i.MemoryTotalBytes)},
		document.Member{Name: "memoryFreeBytes", Value: document.Long(&i.MemoryFreeBytes)},
		document.Member{Name: "swapTotalBytes", Value: document.Long(&i.SwapTotalBytes)},
		document.Member{Name: "swapFreeBytes", Value: document.Long(&i.SwapFreeBytes)},
		document.Member{Name: "dockerVersion", Value: document.Optional(&i.DockerVersion, (*DockerVersion).JSON)},
		document.Member{Name: "dockerHost", Value: document.OptionalText(&i.DockerHost)},
		document.Member{Name: "dockerCertPath", Value: document.OptionalText(&i.DockerCertPath)},
	)
}

// DockerVersion is what the Docker daemon says of itself. §6.
type DockerVersion struct {
	APIVersion    *string
	Arch          *string
	GitCommit     *string
	GoVersion     *string
	KernelVersion *string
	OS            *string
	Version       *string
}

// JSON describes the document of §6.
func (v *DockerVersion) JSON() document.Value {
	return document.Object(
		document.Member{Name: "apiVersion", Value: document.OptionalText(&v.APIVersion)},
		document.Member{Name: "arch", Value: document.OptionalText(&v.Arch)},
		document.Member{Name: "gitCommit", Value: document.OptionalText(&v.GitCommit)},
		document.Member{Name: "goVersion", Value: document.OptionalText(&v.GoVersion)},
		document.Member{Name: "kernelVersion", Value: document.OptionalText(&v.KernelVersion)},
		document.Member{Name: "os", Value: document.OptionalText(&v.OS)},
		document.Member{Name: "version", Value: document.OptionalText(&v.Version)},
	)
}

// AgentInfo is what an agent reports of its own process. StartTime plus Uptime is
// when it was last seen: the dead agent reaper goes by that. §6.
type AgentInfo struct {
	Name           *string // of the process: pid@host
	VMName         *string
	VMVendor       *string
	VMVersion      *string
	SpecName       *string
	SpecVendor     *string
	SpecVersion    *string
	InputArguments []string // nil is null
	Uptime         int64    // milliseconds
	StartTime      int64    // milliseconds since 1970
	Version        *string  // the agent's Helios version
}

// JSON describes the document of §6.
func (a *AgentInfo) JSON() document.Value {
	return document.Object(
		document.Member{Name: "name", Value: document.OptionalText(&a.Name)},
		document.Member{Name: "vmName", Value: document.OptionalText(&a.VMName)},
		document.Member{Name: "vmVendor", Value: document.OptionalText(&a.VMVendor)},
		document.Member{Name: "vmVersion", Value: document.OptionalText(&a.VMVersion)},
		document.Member{Name: "specName", Value: document.OptionalText(&a.SpecName)},
		document.Member{Name: "specVendor", Value: document.OptionalText(&a.SpecVendor)},
		document.Member{Name: "specVersion", Value: document.OptionalText(&a.SpecVersion)},
		document.Member{Name: "inputArguments", Value: document.NullableTexts(&a.InputArguments)},
		document.Member{Name: "uptime", Value: document.Long(&a.Uptime)},
		document.Member{Name: "startTime", Value: document.Long(&a.StartTime)},
		document.Member{Name: "version", Value: document.OptionalText(&a.Version)},
	)
}
