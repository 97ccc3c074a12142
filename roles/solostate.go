package roles

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/helios-go/helios/roles/solo"
	"github.com/helios-go/helios/store/zkserver"
)

// The commands about a solo's state: helios solo backup, restore and check. They work on the files alone; a solo may be
// running during backup and check. They end with the statuses of our own commands (decisions 12).

// stateCommand is one of them. operand is what it takes beside the state directory, if anything.
type stateCommand struct {
	name, operand, summary string
	run                    func(stateDir, operand string, out io.Writer) error
}

var stateCommands = []stateCommand{
	{"backup", "FILE", "writes the state to a file; solo may be running", func(stateDir, file string, out io.Writer) error {
		r, err := zkserver.Backup(solo.StoreDir(stateDir), file)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s holds %d nodes, up to record 0x%x\n", file, r.Nodes, r.Zxid)
		return nil
	}},
	{"restore", "FILE", "makes the state of a new solo from a backup", func(stateDir, file string, out io.Writer) error {
		r, err := solo.Restore(file, stateDir)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s holds %d nodes; the next start uses them\n", solo.StoreDir(stateDir), r.Nodes)
		return nil
	}},
	{"check", "", "reads all of the state and changes nothing; solo may be running", checkState},
}

func checkState(stateDir, _ string, out io.Writer) error {
	dir := solo.StoreDir(stateDir)
	r, err := zkserver.Check(dir)
	if err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintln(out, note)
	}
	if r.Damage == nil {
		fmt.Fprintf(out, "%s is whole: %d nodes, up to record 0x%x\n", dir, r.Nodes, r.Zxid)
		return nil
	}
	if r.Damage.Zxid == 0 {
		fmt.Fprintf(out, "nothing can be said of the rest before %s is moved away\n", r.Damage.File)
		return r.Damage
	}
	if r.Cut == nil {
		fmt.Fprintln(out, "nothing can be cut off so that a start would go on from it: restore a backup")
		return r.Damage
	}
	fmt.Fprintf(out, "to go on without that record and all behind it, with solo ended and a copy of %s made:\n", dir)
	if r.Cut.File != "" {
		fmt.Fprintf(out, "  truncate -s %d %s\n", r.Cut.Size, r.Cut.File)
	}
	for _, file := range r.Cut.Remove {
		fmt.Fprintf(out, "  rm %s\n", file)
	}
	if r.Cut.Lost == 0 {
		fmt.Fprintln(out, "nothing behind it can be read, so nothing more would be lost")
	} else {
		fmt.Fprintf(out, "this would lose %d changes behind it that are intact, up to record 0x%x of %s\n",
			r.Cut.Lost, r.Cut.Until, r.Cut.Last.UTC().Format(time.RFC3339))
	}
	return r.Damage
}

// soloCommand runs the command if the words are one.
func soloCommand(words []string, out, complaints io.Writer) (status int, ok bool) {
	if len(words) < 2 || words[0] != "solo" {
		return 0, false
	}
	for _, c := range stateCommands {
		if c.name == words[1] {
			return c.main(words[2:], out, complaints), true
		}
	}
	return 0, false
}

func (c stateCommand) main(words []string, out, complaints io.Writer) int {
	usage := strings.TrimSpace(fmt.Sprintf("usage: helios solo %s [--state-dir DIR] %s", c.name, c.operand))
	dir, operand, help, err := c.parse(words)
	switch {
	case help:
		fmt.Fprintf(out, "%s\n\n%s\n", usage, c.summary)
		return 0
	case err != nil:
		fmt.Fprintf(complaints, "%s\nhelios solo %s: %v\n", usage, c.name, err)
		return 2
	}
	if dir == "" {
		dir, err = defaultSoloDir()
	}
	if err == nil {
		err = c.run(dir, operand, out)
	}
	if err == nil {
		return 0
	}
	fmt.Fprintf(complaints, "helios solo %s: %v\n", c.name, err)
	if errors.Is(err, zkserver.ErrOccupied) || errors.Is(err, solo.ErrInUse) {
		return 4
	}
	return 1
}

// parse reads the words behind the command: the option and the operand, in any order.
func (c stateCommand) parse(words []string) (dir, operand string, help bool, err error) {
	var operands []string
	for i := 0; i < len(words); i++ {
		word := words[i]
		value, joined := strings.CutPrefix(word, "--state-dir=")
		switch {
		case word == "-h" || word == "--help":
			return "", "", true, nil
		case joined:
			dir = value
		case word == "--state-dir":
			if i++; i == len(words) {
				return "", "", false, errors.New("--state-dir needs a directory")
			}
			dir = words[i]
		case strings.HasPrefix(word, "-") && word != "-":
			return "", "", false, fmt.Errorf("unknown option %q", word)
		default:
			operands = append(operands, word)
		}
		if dir == "" && (joined || word == "--state-dir") {
			return "", "", false, errors.New("--state-dir needs a directory")
		}
	}
	if c.operand != "" {
		if len(operands) == 0 || operands[0] == "" {
			return "", "", false, fmt.Errorf("%s is missing", c.operand)
		}
		operand, operands = filepath.Clean(operands[0]), operands[1:]
	}
	if len(operands) > 0 {
		return "", "", false, fmt.Errorf("%q is one word too many", operands[0])
	}
	return dir, operand, false, nil
}
