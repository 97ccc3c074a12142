package server

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/rs/zerolog"

	"github.com/helios-go/helios/httpapi"
	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
	"github.com/helios-go/helios/store/job"
)

// AgentOptions are the settings of an agent's server. The functions are required; requests call them from any goroutine.
type AgentOptions struct {
	// Addr and AdminAddr are what NewAgent listens on, HOST:PORT; port 0 takes a free one. "" does without the listener.
	Addr, AdminAddr string
	// Tasks are what the agent believes it is told to do; the answer is not changed.
	Tasks func() map[job.ID]job.Task
	// Wishes are how sure it is of that.
	Wishes func() httpapi.AgentWishes
	// Views are what it keeps in sight of the store.
	Views func() []store.View
	// Statuses are what it recorded of its tasks.
	Statuses func() (map[job.ID]job.TaskStatus, error)
	// Health tells what is well, and what is not, by the name of the check.
	Health func(context.Context) map[string]error
	// Logger gets failed requests; nothing by default.
	Logger zerolog.Logger
}

// NewAgent makes an agent's server and binds its listeners, so that their addresses are known. It answers only when Run
// runs (http §11).
func NewAgent(opts AgentOptions) (*Server, error) {
	s := &Server{log: opts.Logger}
	s.api = s.newEcho()
	s.api.Pre(knownMethods, plainPath)
	for path, endpoint := range map[string]echo.HandlerFunc{
		httpapi.PathAgentTasks: func(c echo.Context) error {
			tasks := opts.Tasks()
			return answer(c, document.Map(&tasks, job.IDKeys, (*job.Task).JSON))
		},
		httpapi.PathAgentWishes: func(c echo.Context) error {
			wishes := opts.Wishes()
			return answer(c, wishes.JSON())
		},
		httpapi.PathViews: func(c echo.Context) error { return answerViews(c, opts.Views()) },
		httpapi.PathAgentStatuses: func(c echo.Context) error {
			statuses, err := opts.Statuses()
			if err != nil {
				return err
			}
			return answer(c, document.Map(&statuses, job.IDKeys, (*job.TaskStatus).JSON))
		},
	} {
		s.api.Match([]string{http.MethodGet, http.MethodHead}, path, produces(typeJSON, endpoint))
	}
	s.admin = s.newAdmin(opts.Health)
	if err := s.listen(opts.Addr, opts.AdminAddr); err != nil {
		return nil, err
	}
	return s, nil
}
