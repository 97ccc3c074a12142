package roles

//lint:file-ignore ST1005 the messages of check are the original's

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"github.com/helios-go/helios/cliui"
	"github.com/helios-go/helios/store"
)

// The accounts of masters and agents at ZooKeeper (zookeeper §5, operations §8).

// credentials are the account of a master or an agent at ZooKeeper, and what it knows of the other role's.
type credentials struct {
	role, other            string
	acls                   bool
	user, password         string
	otherUser, otherDigest string
}

// passwordFile names a file with the password of the process itself, which then stands neither in ps nor in the
// environment. The original has no such option.
const passwordFile = "zk-password-file"

var passwordFileOption = cliui.Option{
	Long: passwordFile, Takes: cliui.One, Help: "file with the zookeeper password, one line",
}

// passwordVariables override the option, and say so by being there, even empty (operations §1.5).
var passwordVariables = map[string]string{"master": "HELIOS_ZK_MASTER_PASSWORD", "agent": "HELIOS_ZK_AGENT_PASSWORD"}

// readCredentials reads the account of a role from the options and the environment.
func readCredentials(role string, flags *cli.Context) (credentials, error) {
	other := map[string]string{"master": "agent", "agent": "master"}[role]
	user := func(role string) string {
		if option := "zk-acl-" + role + "-user"; flags.IsSet(option) {
			return flags.String(option)
		}
		return "helios-" + role
	}
	option := "zk-acl-" + role + "-password"
	c := credentials{
		role: role, other: other, acls: flags.Bool("zk-enable-acls"),
		user: user(role), password: flags.String(option),
		otherUser: user(other), otherDigest: flags.String("zk-acl-" + other + "-digest"),
	}
	password, set := os.LookupEnv(passwordVariables[role])
	if set {
		c.password = password
	}
	if flags.IsSet(passwordFile) {
		if set || flags.IsSet(option) {
			return c, fmt.Errorf("--%s beside --%s or %s: only one of them can be the password", passwordFile, option, passwordVariables[role])
		}
		var err error
		if c.password, err = readPassword(flags.String(passwordFile)); err != nil {
			return c, err
		}
	}
	return c, c.check()
}

// check holds the rules of zookeeper §5.1.
func (c credentials) check() error {
	switch {
	case c.password != "" && c.user == "":
		return fmt.Errorf("%s%s username must be set if a password is set", strings.ToUpper(c.role[:1]), c.role[1:])
	case c.acls && (c.user == "" || c.password == ""):
		return fmt.Errorf("ZooKeeper ACLs enabled but %s username and/or password not set", c.role)
	case c.acls && (c.otherUser == "" || c.otherDigest == ""):
		return fmt.Errorf("ZooKeeper ACLs enabled but %s username and/or digest not set", c.other)
	}
	return nil
}

// into makes a store use the account. A password is proved with or without access lists.
func (c credentials) into(opts *store.Options) {
	opts.Credential = store.Credential{User: c.user, Password: c.password}
	opts.ACLs = c.lists()
}

// lists are the access lists, if there are to be any.
func (c credentials) lists() *store.ACLs {
	if !c.acls {
		return nil
	}
	own, other := store.NewIdentity(c.user, c.password), store.Identity{User: c.otherUser, Digest: c.otherDigest}
	if c.role == "agent" {
		return &store.ACLs{Master: other, Agent: own}
	}
	return &store.ACLs{Master: own, Agent: other}
}

// openToAll reports whether any user may read a file. Its group may: that can be the daemons'.
func openToAll(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

// maxPassword bounds a password, in bytes.
const maxPassword = 4096

// readPassword reads a password that stands alone in a file, on one line. The file is opened once and read once: it may be
// a pipe. No error tells anything of it.
func readPassword(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPassword+1))
	if err != nil {
		return "", fmt.Errorf("password: %w", err)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	problem := ""
	switch {
	case len(text) == 0:
		problem = "is empty"
	case len(text) > maxPassword:
		problem = fmt.Sprintf("is longer than %d bytes", maxPassword)
	case bytes.ContainsAny(text, "\r\n\x00"):
		problem = "has more than one line"
	case !utf8.Valid(text):
		problem = "is not UTF-8"
	}
	if problem != "" {
		return "", errors.New("password: " + path + " " + problem)
	}
	return string(text), nil
}
