// Command helios is Docker orchestration for people who own a fixed set of servers: masters, agents, a cluster in one
// process, and the client, in one binary. See package roles.
package main

import (
	"os"

	"github.com/helios-go/helios/roles"
)

func main() {
	os.Exit(roles.Main(os.Args))
}
