package main

import (
	"context"
	"errors"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/strikeplate/strikeplate"
)

// meetings are what the tool lists.
type meetings struct {
	For      string   `json:"for"`
	Meetings []string `json:"meetings"`
}

// listMeetings is the tool. It acts for whom the token or key stands, and passes
// neither on to anybody.
func listMeetings(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, meetings, error) {
	if req.Extra == nil || req.Extra.TokenInfo == nil {
		return nil, meetings{}, errors.New("nobody is known to call")
	}
	p, ok := req.Extra.TokenInfo.Extra["principal"].(*strikeplate.Principal)
	if !ok {
		return nil, meetings{}, errors.New("nobody is known to call")
	}
	who := p.Subject
	if who == "" {
		who = p.Organisation
	}
	return nil, meetings{For: who, Meetings: []string{"Weekly", "Retro"}}, nil
}
