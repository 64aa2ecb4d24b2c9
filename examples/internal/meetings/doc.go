// Package meetings is the data that the example servers serve: meetings of
// several organisations, private and shared, with transcripts, recordings, notes,
// summaries and action items; besides channels, speakers and webhooks.
//
// Nobody's business logic is in here. What is worth reading is how access control
// meets SQL: each query takes a [policies.Filter], so that lists, pages, searches,
// counts and single rows show the same rows, because they share one condition:
//
//	visible, err := engine.Filter(ctx, principal, "meetings", store.As())
//	…
//	page, err := store.Meetings(ctx, visible, meetings.Search{Text: "renewal"})
//	one, err := store.Meeting(ctx, visible, id) // ErrNotFound: not there, or not for this caller
//
// The data are the same at each start. They are kept in SQLite or PostgreSQL.
package meetings
