package cliui

import (
	"context"
	"fmt"

	"github.com/helios-go/helios/store/document"
)

var versionCommand = Command{
	Name:    "version",
	Summary: "show the versions of client and master",
	run:     version,
}

// version shows both versions; a master that does not tell its own is no
// failure (testdata/spec/5-cli.md §9.5).
func version(ctx context.Context, k *call) error {
	v := k.client.Version(ctx)
	if k.json {
		fmt.Fprintln(k.out.Out, document.Pretty(v.JSON()))
		return nil
	}
	fmt.Fprintf(k.out.Out, "Client Version: %s\nMaster Version: %s\n", v.ClientVersion, v.MasterVersion)
	return nil
}
