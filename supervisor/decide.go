package supervisor

import (
	"time"

	"github.com/helios-go/helios/store/job"
)

// Step is the next thing to do for a task.
type Step int

const (
	// Rest waits for the pause to pass or the goal to change.
	Rest Step = iota
	// Lost rests too, having said that the engine does not answer.
	Lost
	// Launch pulls the image, creates a new container and starts it.
	Launch
	// Resume starts a container that an earlier agent created without getting as far as starting it.
	Resume
	// Check asks once whether the running container is healthy, and rests if it is not.
	Check
	// Watch waits for the end of the running container, adopting it first if it is not known yet, and notes an end that
	// it is told of.
	Watch
	// End notes that the container that was known to run does not any more.
	End
	// Stop asks the container to end.
	Stop
	// Kill ends a container that outlived being stopped.
	Kill
	// Done says that the goal to stop is reached.
	Done
)

var stepNames = [...]string{"rest", "lost", "launch", "resume", "check", "watch", "end", "stop", "kill", "done"}

// String returns the step in a word.
func (s Step) String() string {
	if s < 0 || int(s) >= len(stepNames) {
		return "unknown step"
	}
	return stepNames[s]
}

// forever is a pause that only a new goal ends; the loop looks again once in a while all the same.
const forever = 30 * time.Second

// Seen is the answer of the engine to "what about this task?".
type Seen struct {
	Known     bool // false: the engine did not answer, and nothing is known
	Container      // the zero value is no container
}

// History is what a supervisor remembers of a task between two looks.
type History struct {
	Live      string        // id of the container last known to run, until its end is noted
	Checked   string        // id of the container that needs no health check (any more)
	Stopping  bool          // a stop was begun; it is brought to its end whatever the goal is then
	Stopped   string        // id of the container that the engine has stopped: if it still runs it is killed
	NotBefore time.Time     // no attempt (launch, kill, check) before
	Grace     time.Time     // no stop before: the container serves on, though nobody is sent to it any more
	Retry     time.Duration // pause while the engine does not answer
	Restarts  Restarts
}

// decide is the whole policy: no I/O, no clock, no goroutine. It is total: any input has an answer, and one that makes
// no sense is answered with doing nothing. checks tells whether the job has a health check.
//
// A fresh container is made for each run, and a stopped one is left where it is; a container that runs already, found
// by id, labels or name, is adopted, so that no failure of ours ever makes a second one.
func decide(now time.Time, want job.Goal, checks bool, seen Seen, past History) (Step, time.Duration) {
	stop := past.Stopping || want == job.Stop || want == job.Undeploy
	wait := past.NotBefore.Sub(now)
	switch {
	case !seen.Known:
		return Lost, max(past.Retry, time.Second)
	case stop && !seen.Running:
		return Done, 0
	case stop && past.Grace.After(now):
		return Rest, past.Grace.Sub(now)
	case stop && past.Stopped != seen.ID:
		return Stop, 0
	case stop && wait > 0:
		return Rest, wait
	case stop:
		return Kill, 0
	case want != job.Start:
		return Rest, forever
	case seen.Running && checks && past.Checked != seen.ID:
		return Check, max(wait, 0)
	case seen.Running:
		return Watch, past.Restarts.Verdict(now).Recheck
	case past.Live != "":
		return End, 0
	case wait > 0:
		return Rest, wait
	case seen.Unstarted && seen.ID != "":
		return Resume, 0
	default:
		return Launch, 0
	}
}
