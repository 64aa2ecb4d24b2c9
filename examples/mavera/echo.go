package main

import (
	"crypto/rand"
	"strings"
	"unicode"
)

// longest is how many pieces an answer has at most, and widest how many
// characters a piece has.
const (
	longest = 1000
	widest  = 20
)

// conversation is what a request says, whichever endpoint it came by.
type conversation struct {
	last string // what was said last by the user, or by anybody if the user said nothing
	sent int    // how many pieces were sent
	user bool
}

func (c *conversation) add(role, text string) {
	c.sent += len(pieces(text))
	if user := role == "user"; user || !c.user {
		c.last, c.user = text, user
	}
}

// reply is what the model would say if there were one, in the pieces in which it
// is streamed. Usage counts such pieces where a model counts tokens.
type reply struct {
	pieces []string
	cut    bool // there was more to say
}

func (c *conversation) reply(most int) reply {
	all := pieces("This demo has no model. It repeats what it was sent: " + c.last)
	if len(all) > most {
		return reply{all[:most], true}
	}
	return reply{all, false}
}

func (r reply) text() string { return strings.Join(r.pieces, "") }

// pieces cuts a text behind spaces, and words that are too long. Joined, they are
// the text.
func pieces(text string) []string {
	var all []string
	begin, width, space := 0, 0, false
	for i, c := range text {
		isSpace := unicode.IsSpace(c)
		if i > begin && (space && !isSpace || width == widest) {
			all = append(all, text[begin:i])
			begin, width = i, 0
		}
		space = isSpace
		width++
	}
	if begin < len(text) {
		all = append(all, text[begin:])
	}
	return all
}

// newID is like those that OpenAI's objects have.
func newID(kind string) string { return kind + strings.ToLower(rand.Text()) }
