package job

import "github.com/helios-go/helios/store/document"

// RolloutOptions say how a rolling update proceeds; a nil member says nothing.
// §3.5.
type RolloutOptions struct {
	Timeout        *int64 // seconds that each task may take to run
	Parallelism    *int32 // hosts updated at the same time
	Migrate        *bool  // also replace the job where it was deployed by hand
	Overlap        *bool  // start the new job before the old one stops
	Token          *string
	IgnoreFailures *bool // go on after a failed host
}

// JSON describes the document of §3.5. Reading applies no defaults.
func (o *RolloutOptions) JSON() document.Value {
	return document.Object(
		document.Member{Name: "timeout", Value: document.OptionalLong(&o.Timeout)},
		document.Member{Name: "parallelism", Value: document.OptionalInt(&o.Parallelism)},
		document.Member{Name: "migrate", Value: document.OptionalBool(&o.Migrate)},
		document.Member{Name: "overlap", Value: document.OptionalBool(&o.Overlap)},
		document.Member{Name: "token", Value: document.OptionalText(&o.Token)},
		document.Member{Name: "ignoreFailures", Value: document.OptionalBool(&o.IgnoreFailures)},
	)
}

// DefaultRolloutOptions are the final defaults, all members set.
func DefaultRolloutOptions() RolloutOptions {
	return RolloutOptions{
		Timeout:        new(int64(300)),
		Parallelism:    new(int32(1)),
		Migrate:        new(false),
		Overlap:        new(false),
		Token:          new(""),
		IgnoreFailures: new(false),
	}
}

// Or takes each member from o if it is set there, else from the fallback.
func (o RolloutOptions) Or(fallback RolloutOptions) RolloutOptions {
	return RolloutOptions{
		Timeout:        first(o.Timeout, fallback.Timeout),
		Parallelism:    first(o.Parallelism, fallback.Parallelism),
		Migrate:        first(o.Migrate, fallback.Migrate),
		Overlap:        first(o.Overlap, fallback.Overlap),
		Token:          first(o.Token, fallback.Token),
		IgnoreFailures: first(o.IgnoreFailures, fallback.IgnoreFailures),
	}
}

// ResolveRolloutOptions are the options of a rolling update, all members set:
// the request's, else those of the job that is rolled out, else the defaults.
// Either may be nil.
func ResolveRolloutOptions(request, ofJob *RolloutOptions) RolloutOptions {
	var options RolloutOptions
	if request != nil {
		options = *request
	}
	if ofJob != nil {
		options = options.Or(*ofJob)
	}
	return options.Or(DefaultRolloutOptions())
}

// first is the first of the values that is set.
func first[T any](values ...*T) *T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}
