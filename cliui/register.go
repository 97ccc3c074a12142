package cliui

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store/document"
)

var registerCommand = Command{
	Name:     "register",
	Summary:  "register a host before its agent does",
	Operands: []Operand{{Name: "host"}, {Name: "id"}},
	run:      register,
}

var deregisterCommand = Command{
	Name:     "deregister",
	Summary:  "forget a host; its containers go on running",
	Options:  []Option{yesOption},
	Operands: []Operand{{Name: "host"}},
	run:      deregister,
}

// register registers the agent with an id as a host
// (testdata/spec/5-cli.md §9.2, Q40). The status that a refusal names is that
// of the HTTP answer.
func register(ctx context.Context, k *call) error {
	host, id := k.operand(0), k.operand(1)
	if host == "" || id == "" {
		fmt.Fprint(k.out.Out, "You must specify the hostname and id.")
		return errSaid
	}
	if !k.json {
		fmt.Fprintf(k.out.Out, "Registering host %s with id %s\n", host, id)
	}
	code, err := k.client.RegisterHost(ctx, host, id)
	if code == 0 {
		return err
	}
	status := string(httpapi.OK)
	if err != nil {
		status = strconv.Itoa(code)
	}
	switch {
	case k.json:
		fmt.Fprint(k.out.Out, document.Compact(document.Object(
			document.Member{Name: "host", Value: document.Text(&host)},
			document.Member{Name: "status", Value: document.Text(&status)},
		)))
	case err == nil:
		fmt.Fprintf(k.out.Out, "%s: %s\n", host, k.out.Paint(term.Good, "done"))
	default:
		fmt.Fprintf(k.out.Out, "%s: %s: %s\n", host, k.out.Paint(term.Bad, "failed"), status)
	}
	if err != nil {
		return errSaid
	}
	return nil
}

// deregister removes a host and all deployments there; containers are not
// touched (testdata/spec/5-cli.md §9.3, Q40; 0-decisions 9). Its name is never completed, but
// where there is no such host those are shown whose name begins like that.
func deregister(ctx context.Context, k *call) error {
	host := k.operand(0)
	if !k.flags.Bool("yes") {
		if err := k.confirm("This will deregister the host " + host); err != nil {
			return err
		}
	}
	if !k.json {
		fmt.Fprintf(k.out.Out, "Deregistering host %s\n", host)
	}
	r, err := k.client.DeregisterHost(ctx, host)
	err = k.report(host, &r, r.Status, err)
	if r.Status != httpapi.NotFound || k.json {
		return err
	}
	names, failed := k.client.Hosts(ctx, "")
	if failed != nil {
		return failed
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, host) })
	if len(names) == 0 {
		return err
	}
	search := searchList(k.opts.ResolvConf)
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(searchRank(a, search), searchRank(b, search)), document.Ascending(a, b))
	})
	fmt.Fprintf(k.out.Out, "We didn't find your hostname, but we did find some possible matches for you:\n    %s\n\n", strings.Join(names, "\n    "))
	return err
}
