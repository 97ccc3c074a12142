package cliui

import (
	"context"
	"fmt"
	"slices"

	"github.com/helios-go/helios/store/document"
)

var mastersCommand = Command{
	Name:    "masters",
	Summary: "list masters",
	Options: []Option{fullOption},
	run:     masters,
}

// masters lists the masters that are up (testdata/spec/5-cli.md §9.4). The
// JSON document has the names as they are shown, too (Q23).
func masters(ctx context.Context, k *call) error {
	names, err := k.client.Masters(ctx)
	if err != nil {
		return err
	}
	shown := make([]string, len(names))
	name := k.hostNames()
	for i := range names {
		if shown[i], err = name(names[i]); err != nil {
			return err
		}
	}
	if k.json {
		slices.SortFunc(shown, document.Ascending)
		fmt.Fprintln(k.out.Out, document.Pretty(document.Texts(&shown)))
		return nil
	}
	for _, name := range shown {
		fmt.Fprintln(k.out.Out, name)
	}
	return nil
}

// hostNames is how lists show host names: shortened, unless -f was given.
func (k *call) hostNames() func(string) (string, error) {
	if k.flags.Bool("f") {
		return func(name string) (string, error) { return name, nil }
	}
	search := searchList(k.opts.ResolvConf)
	return func(name string) (string, error) { return shortHostname(name, search) }
}
