package server

import (
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/helios-go/helios/store"
	"github.com/helios-go/helios/store/document"
)

// Views is the check of what a process keeps in sight of the store: nil, or which of it is too old, how old, and why.
func Views(views []store.View) error {
	var stale []string
	for _, v := range views {
		if v.Stale(time.Now()) {
			stale = append(stale, v.String())
		}
	}
	if stale == nil {
		return nil
	}
	return Unwell(strings.Join(stale, "; "))
}

// answerViews answers GET /v1/views: all that is kept in sight, with its age.
func answerViews(c echo.Context, views []store.View) error {
	byWhat := make(map[string]store.View, len(views))
	for _, v := range views {
		byWhat[v.What] = v
	}
	return answer(c, document.Map(&byWhat, document.TextKeys, viewJSON))
}

func viewJSON(v *store.View) document.Value {
	begun, stale := v.Begun.UnixMilli(), v.Stale(time.Now())
	var confirmed *int64
	if !v.Confirmed.IsZero() {
		confirmed = new(v.Confirmed.UnixMilli())
	}
	var problem *string
	if v.Err != nil {
		problem = new(v.Err.Error())
	}
	return document.Object(
		document.Member{Name: "begun", Value: document.Long(&begun)},
		document.Member{Name: "confirmed", Value: document.OptionalLong(&confirmed)},
		document.Member{Name: "stale", Value: document.Bool(&stale)},
		document.Member{Name: "error", Value: document.OptionalText(&problem)},
	)
}
