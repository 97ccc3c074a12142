package docker

import (
	"strings"
	"sync"
	"unicode"
)

// subjects is of how many things news remembers what was said, before it begins anew.
const subjects = 1000

// news remembers what was said last of each thing, so that what comes again each second is said once. The zero value is
// ready.
type news struct {
	mu   sync.Mutex // guards said
	said map[string]string
}

// is tells whether to say the text of the subject: it is another one than the last time. Numbers make no difference: those
// of ports change with each connection. An empty text, for all being well, is never said and makes the next one news.
func (n *news) is(subject, text string) bool {
	text = strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[subject] == text {
		return false
	}
	if n.said == nil || len(n.said) >= subjects {
		n.said = map[string]string{}
	}
	if text == "" {
		delete(n.said, subject)
		return false
	}
	n.said[subject] = text
	return true
}
