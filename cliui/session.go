package cliui

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/user"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui/term"
	"github.com/helios-go/helios/httpapi/client"
	"github.com/helios-go/helios/store/document"
)

// session is one run of the client, whatever the number of its targets.
type session struct {
	opts   Options
	out    term.Streams
	notes  *counter               // out.Err
	in     *bufio.Reader          // of out.In, shared by all that ask
	stdin  func() ([]byte, error) // all of it, read once
	syntax *Syntax
}

func newSession(opts Options) *session {
	if opts.LookupEnv == nil {
		opts.LookupEnv = os.LookupEnv
	}
	if opts.Location == nil {
		opts.Location = time.Local
	}
	opts.ResolvConf = cmp.Or(opts.ResolvConf, "/etc/resolv.conf")
	if opts.Streams.In == nil {
		opts.Streams.In = strings.NewReader("")
	}
	notes := &counter{Writer: opts.Streams.Err}
	opts.Streams.Err = notes
	s := &session{opts: opts, out: opts.Streams, notes: notes, in: bufio.NewReader(opts.Streams.In), syntax: clientSyntax(opts.Roles)}
	s.stdin = sync.OnceValues(func() ([]byte, error) {
		return io.ReadAll(io.LimitReader(s.in, document.MaxSize+1))
	})
	return s
}

// call is one command on one target.
type call struct {
	*session
	flags   *cli.Context
	target  target
	masters []string // its endpoints
	client  *client.Client
	json    bool
}

// operand is the i-th positional argument, empty if it was not given.
func (k *call) operand(i int) string { return k.flags.Args().Get(i) }

// operands are the positional arguments from the i-th on.
func (k *call) operands(i int) []string {
	all := k.flags.Args().Slice()
	return all[min(i, len(all)):]
}

// command runs one command on all its targets.
func (s *session) command(c *Command, flags *cli.Context) error {
	if !c.known() {
		return fmt.Errorf("helios: this version does not have the command %s", c.Name)
	}
	targets, err := s.targets(flags)
	if err != nil {
		return err
	}
	options, err := s.clientOptions(flags)
	if err != nil {
		return err
	}
	if c.together == nil {
		return s.each(flags, targets, options, c.run)
	}
	var calls []*call
	for _, t := range targets {
		k, err := s.open(flags, t, options)
		if err != nil {
			return err
		}
		defer k.client.Close()
		calls = append(calls, k)
	}
	return c.together(flags.Context, calls)
}

// open makes ready to ask the masters of a target. The call says which they
// are, also beside an error.
func (s *session) open(flags *cli.Context, t target, options client.Options) (*call, error) {
	k := &call{session: s, flags: flags, target: t, json: flags.Bool("json")}
	var err error
	if k.masters, err = t.resolve(flags.Context, s); err != nil || len(k.masters) == 0 {
		return k, errors.Join(originalf("Failed to resolve helios master in %s", t), flags.Context.Err())
	}
	options.Masters, options.Refresh = k.masters, t.refresh(s)
	k.client, err = client.New(options)
	return k, err
}

// each runs a command on one target after the other. Several targets are set
// apart in the output; one that fails does not keep the others from being
// tried (5-cli §4.4, Q6, Q7).
func (s *session) each(flags *cli.Context, targets []target, options client.Options, run func(context.Context, *call) error) error {
	json, several := flags.Bool("json"), len(targets) > 1
	var failed error
	if json && several {
		fmt.Fprintln(s.out.Out, "{")
	}
	for i, t := range targets {
		ctx := flags.Context
		k, err := s.open(flags, t, options)
		inner := *s
		written := &counter{Writer: s.out.Out}
		inner.out.Out = written
		k.session = &inner
		switch {
		case several && json:
			fmt.Fprintf(s.out.Out, "%s: \n", document.Compact(document.Text(&t.name)))
		case several:
			head := k.title()
			fmt.Fprintf(s.out.Out, "%s\n%s\n", head, strings.Repeat("-", term.Length(head)))
		}
		if err == nil {
			err = run(ctx, k)
			k.client.Close()
		}
		if ctx.Err() != nil {
			if rest := targets[i+1:]; len(rest) > 0 {
				fmt.Fprintf(s.out.Err, "helios: interrupted; not done: %s\n", listText(names(rest)))
			}
			return context.Cause(ctx)
		}
		if errors.Is(err, syscall.EPIPE) {
			return err
		}
		if err != nil && !errors.Is(err, errSaid) {
			fmt.Fprintln(s.out.Err, err)
		}
		if err != nil {
			failed = errSaid
		}
		if !several {
			continue
		}
		switch {
		case json && written.n == 0:
			fmt.Fprintln(s.out.Out, "null")
		case !json:
			fmt.Fprintln(s.out.Out)
		}
		switch {
		case json && i < len(targets)-1:
			fmt.Fprint(s.out.Out, ",\n\n")
		case json:
			fmt.Fprintln(s.out.Out, "}")
		}
	}
	return failed
}

func names(targets []target) []string {
	list := make([]string, len(targets))
	for i := range targets {
		list[i] = targets[i].name
	}
	return list
}

// title is what sets one of several targets apart.
func (k *call) title() string { return fmt.Sprintf("%s (%s)", k.target.name, listText(k.masters)) }

// counter counts what is written through it.
type counter struct {
	io.Writer
	n int
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.Writer.Write(b)
	c.n += n
	return n, err
}

// forever is a time-out that is none.
const forever = 1000 * time.Hour

// clientOptions are those of all targets.
func (s *session) clientOptions(flags *cli.Context) (client.Options, error) {
	timeout, err := s.seconds(flags, "http-timeout", "HELIOS_CLI_HTTP_TIMEOUT", 60)
	if err != nil {
		return client.Options{}, err
	}
	retry, err := s.seconds(flags, "retry-timeout", "HELIOS_CLI_TOTAL_TIMEOUT", 240)
	if err != nil {
		return client.Options{}, err
	}
	if timeout < 0 {
		return client.Options{}, fmt.Errorf("timeouts can't be negative: %d", timeout/time.Second)
	}
	options := client.Options{
		User:         s.login(),
		Version:      s.opts.Version,
		Timeout:      cmp.Or(timeout, forever),
		RetryTimeout: max(retry, 0),
		RetryDelay:   s.opts.RetryDelay,
		Warn:         s.warn,
		Resolver:     s.opts.Resolver,
	}
	if flags.IsSet("username") {
		options.User = flags.String("username")
	}
	if flags.Bool("insecure") {
		options.TLS = anyName()
	}
	return options, nil
}

// seconds reads a time-out from its option, else from its variable.
func (s *session) seconds(flags *cli.Context, option, variable string, fallback int64) (time.Duration, error) {
	n := fallback
	if flags.IsSet(option) {
		n = flags.Int64(option)
	} else if text, ok := s.opts.LookupEnv(variable); ok {
		var err error
		if n, err = strconv.ParseInt(text, 10, 32); err != nil {
			return 0, originalf("For input string: %q", text)
		}
	}
	return time.Duration(min(n, math.MaxInt32)) * time.Second, nil
}

// anyName is what --insecure means: the chain of certificates is verified, the
// host's name is not.
func anyName() *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // replaced by VerifyConnection
		VerifyConnection: func(state tls.ConnectionState) error {
			chain := x509.VerifyOptions{Intermediates: x509.NewCertPool()}
			for _, certificate := range state.PeerCertificates[1:] {
				chain.Intermediates.AddCert(certificate)
			}
			_, err := state.PeerCertificates[0].Verify(chain)
			return err
		},
	}
}

// login is the name requests are made under unless -u says otherwise.
func (s *session) login() string {
	if s.opts.User != "" {
		return s.opts.User
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// warn writes one plain line about something a person should know.
func (s *session) warn(text string) {
	fmt.Fprintln(s.out.Err, "helios: warning: "+strings.Join(strings.Fields(text), " "))
}
