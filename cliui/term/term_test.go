package term

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDurationsAreThoseOfTheOriginal(t *testing.T) {
	file, err := os.Open("../../testdata/vectors/durations.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		var v struct {
			Millis int64
			Text   string
			Quirks []string
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		want := v.Text
		if slices.Contains(v.Quirks, "cli-Q11") {
			want = "0 seconds" // negative spans are clamped
		}
		if got := Duration(time.Duration(v.Millis) * time.Millisecond); got != want {
			t.Errorf("Duration(%d ms) = %q, want %q", v.Millis, got, want)
		}
	}
	if n != 110 {
		t.Errorf("read %d records, want 110", n)
	}
}

func jobsTable() *Table {
	table := NewTable(Column{Name: "JOB ID", Least: 16}, Column{Name: "STATE", Least: 8}, Column{Name: "COMMAND", Give: 1}, Column{Name: "ENV", Give: 2})
	table.Cells(Cell{Text: "web:1:4f7125b"}, Cell{Text: "RUNNING", Style: Good}, Cell{Text: "/bin/sh -c 'sleep 60'"}, Cell{Text: "FOO=bar"})
	table.Row("db:22:aaaa25b", "", "日本語 \U0001F600", "")
	return table
}

func TestTableInAPipeHasTheRecordedForm(t *testing.T) {
	var out bytes.Buffer
	if err := jobsTable().Print(Streams{Out: &out, Color: true, Width: 10}); err != nil {
		t.Fatal(err)
	}
	want := "" +
		"JOB ID           STATE      COMMAND                  ENV        \n" +
		"web:1:4f7125b    RUNNING    /bin/sh -c 'sleep 60'    FOO=bar    \n" +
		"db:22:aaaa25b               日本語 \U0001F600" + strings.Repeat(" ", 21-6+4) + strings.Repeat(" ", 7+4) + "\n"
	if out.String() != want {
		t.Errorf("got\n%q\nwant\n%q", out.String(), want)
	}
}

func TestTableOnATerminal(t *testing.T) {
	for _, c := range []struct {
		name    string
		streams Streams
		want    string
	}{
		{
			name:    "an unknown width cuts nothing and lines end without blanks",
			streams: Streams{TTY: true},
			want: "" +
				"JOB ID         STATE    COMMAND                ENV\n" +
				"web:1:4f7125b  RUNNING  /bin/sh -c 'sleep 60'  FOO=bar\n" +
				"db:22:aaaa25b           日本語 \U0001F600\n",
		},
		{
			name:    "the least important column is cut first",
			streams: Streams{TTY: true, Width: 53},
			want: "" +
				"JOB ID         STATE    COMMAND                ENV\n" +
				"web:1:4f7125b  RUNNING  /bin/sh -c 'sleep 60'  FOO=b…\n" +
				"db:22:aaaa25b           日本語 \U0001F600\n",
		},
		{
			name:    "then the next one, and wide characters count twice",
			streams: Streams{TTY: true, Width: 39},
			want: "" +
				"JOB ID         STATE    COMMAND  ENV\n" +
				"web:1:4f7125b  RUNNING  /bin/s…  FOO=b…\n" +
				"db:22:aaaa25b           日本語…\n",
		},
		{
			name:    "what could not be read any more is given up, the least important first",
			streams: Streams{TTY: true, Width: 37},
			want: "" +
				"JOB ID         STATE    COMMAND\n" +
				"web:1:4f7125b  RUNNING  /bin/sh -c '…\n" +
				"db:22:aaaa25b           日本語 \U0001F600\n",
		},
		{
			name:    "then the next one",
			streams: Streams{TTY: true, Width: 29},
			want: "" +
				"JOB ID         STATE\n" +
				"web:1:4f7125b  RUNNING\n" +
				"db:22:aaaa25b\n",
		},
		{
			name:    "what is never given up is cut at last, the widest first",
			streams: Streams{TTY: true, Width: 20},
			want: "" +
				"JOB ID       STATE\n" +
				"web:1:4f71…  RUNNING\n" +
				"db:22:aaaa…\n",
		},
		{
			name:    "colour is added to the word",
			streams: Streams{TTY: true, Color: true, Width: 80},
			want: "" +
				"\x1b[1mJOB ID\x1b[0m         \x1b[1mSTATE\x1b[0m    \x1b[1mCOMMAND\x1b[0m                \x1b[1mENV\x1b[0m\n" +
				"web:1:4f7125b  \x1b[32mRUNNING\x1b[0m  /bin/sh -c 'sleep 60'  FOO=bar\n" +
				"db:22:aaaa25b           日本語 \U0001F600\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			c.streams.Out = &out
			if err := jobsTable().Print(c.streams); err != nil {
				t.Fatal(err)
			}
			if out.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), c.want)
			}
		})
	}
}

func TestControlCharactersOfCellsDoNotReachATerminal(t *testing.T) {
	var out bytes.Buffer
	table := NewTable(Column{Name: "A"})
	table.Row("x\x1b[2J\ny\u009b")
	if err := table.Print(Streams{Out: &out, TTY: true}); err != nil {
		t.Fatal(err)
	}
	if want := "A\nx?[2J?y?\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestSystemStreamsOfATestAreNoTerminal(t *testing.T) {
	s := System(func(string) string { return "" })
	if s.TTY || s.Color || s.In == nil || s.Out == nil || s.Err == nil {
		t.Errorf("got %+v", s)
	}
}

func TestAgoNamesTheLargestUnit(t *testing.T) {
	now := time.Unix(1000000, 0)
	if got := Ago(now, now.Add(-90*time.Minute)); got != "1 hour ago" {
		t.Errorf("got %q", got)
	}
}

func TestColumnsWithoutATextAreGivenUpBeforeAnythingIsCut(t *testing.T) {
	table := NewTable(Column{Name: "HOST"}, Column{Name: "LABELS", Give: 1}, Column{Name: "OS", Give: 2})
	table.Row("db1.example.com", "", "Linux 6.1.0")
	var out bytes.Buffer
	if err := table.Print(Streams{Out: &out, TTY: true, Width: 30}); err != nil {
		t.Fatal(err)
	}
	if want := "HOST             OS\ndb1.example.com  Linux 6.1.0\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func FuzzTableNeverExceedsTheWidthOfTheTerminal(f *testing.F) {
	f.Add("a", "日本語日本語", "RUNNING", "", 20, byte(2))
	f.Add("web:1:4f7125b", "db3.example.com", "PULLING_IMAGE", "/bin/sh", 40, byte(0))
	f.Fuzz(func(t *testing.T, a, b, c, d string, width int, rows byte) {
		var out bytes.Buffer
		table := NewTable(Column{Name: "JOB ID", Least: 12}, Column{Name: "HOST", Give: 1, Least: 12}, Column{Name: "STATE", Least: 8}, Column{Name: "COMMAND", Give: 2})
		for range rows % 3 {
			table.Row(a, b, c, d)
		}
		if err := table.Print(Streams{Out: &out, TTY: true, Width: width}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 1+int(rows%3) {
			t.Fatalf("%q has %d lines", out.String(), len(lines))
		}
		for _, line := range lines {
			if width >= 1+gap+1 && displayWidth(line) > width {
				t.Errorf("%q is wider than %d", line, width)
			}
		}
	})
}
