-- The demo's tables, in SQL that SQLite and PostgreSQL both take. Times are
-- text of one form, 2026-03-14T09:00:00Z, which sorts by time.

CREATE TABLE IF NOT EXISTS demo_meetings (
	id              TEXT PRIMARY KEY,
	organisation_id TEXT NOT NULL,
	environment     TEXT NOT NULL,
	owner_id        TEXT,
	private         BOOLEAN NOT NULL,
	title           TEXT NOT NULL,
	starts_at       TEXT NOT NULL,
	minutes         INTEGER NOT NULL
);
-- Each filter begins with organisation and environment, and each list is by time:
-- this index serves both at once. Pages go backwards through it.
CREATE INDEX IF NOT EXISTS demo_meetings_listed ON demo_meetings (organisation_id, environment, starts_at, id);

-- Filters ask for one meeting's participants: EXISTS (… meeting_id = … AND user_id = …).
CREATE TABLE IF NOT EXISTS demo_participants (
	meeting_id TEXT NOT NULL REFERENCES demo_meetings ON DELETE CASCADE,
	user_id    TEXT NOT NULL,
	PRIMARY KEY (meeting_id, user_id)
);

CREATE TABLE IF NOT EXISTS demo_segments (
	meeting_id TEXT NOT NULL REFERENCES demo_meetings ON DELETE CASCADE,
	position   INTEGER NOT NULL,
	speaker    TEXT NOT NULL,
	starts_ms  INTEGER NOT NULL,
	said       TEXT NOT NULL,
	PRIMARY KEY (meeting_id, position)
);

CREATE TABLE IF NOT EXISTS demo_recordings (
	meeting_id   TEXT PRIMARY KEY REFERENCES demo_meetings ON DELETE CASCADE,
	hertz        INTEGER NOT NULL,
	milliseconds INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS demo_notes (
	id         TEXT PRIMARY KEY,
	meeting_id TEXT NOT NULL REFERENCES demo_meetings ON DELETE CASCADE,
	kind       TEXT NOT NULL,
	author_id  TEXT NOT NULL,
	body       TEXT NOT NULL,
	created_at TEXT NOT NULL,
	updated_at TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS demo_notes_of ON demo_notes (meeting_id, created_at);

CREATE TABLE IF NOT EXISTS demo_summaries (
	meeting_id   TEXT PRIMARY KEY REFERENCES demo_meetings ON DELETE CASCADE,
	body         TEXT NOT NULL,
	version      INTEGER NOT NULL,
	generated_at TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS demo_action_items (
	id           TEXT PRIMARY KEY,
	meeting_id   TEXT NOT NULL REFERENCES demo_meetings ON DELETE CASCADE,
	title        TEXT NOT NULL,
	assignee_id  TEXT,
	status       TEXT NOT NULL,
	due_date     TEXT,
	completed_at TEXT
);
CREATE INDEX IF NOT EXISTS demo_action_items_of ON demo_action_items (meeting_id, id);

CREATE TABLE IF NOT EXISTS demo_channels (
	id              TEXT PRIMARY KEY,
	organisation_id TEXT NOT NULL,
	environment     TEXT NOT NULL,
	name            TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS demo_channels_of ON demo_channels (organisation_id, environment, name, id);
CREATE TABLE IF NOT EXISTS demo_channel_members (
	channel_id TEXT NOT NULL REFERENCES demo_channels ON DELETE CASCADE,
	user_id    TEXT NOT NULL,
	PRIMARY KEY (channel_id, user_id)
);
CREATE TABLE IF NOT EXISTS demo_channel_meetings (
	channel_id TEXT NOT NULL REFERENCES demo_channels ON DELETE CASCADE,
	meeting_id TEXT NOT NULL REFERENCES demo_meetings ON DELETE CASCADE,
	PRIMARY KEY (channel_id, meeting_id)
);
CREATE INDEX IF NOT EXISTS demo_channel_meetings_of ON demo_channel_meetings (meeting_id);

CREATE TABLE IF NOT EXISTS demo_speakers (
	id              TEXT PRIMARY KEY,
	organisation_id TEXT NOT NULL,
	environment     TEXT NOT NULL,
	name            TEXT NOT NULL,
	user_id         TEXT
);
CREATE INDEX IF NOT EXISTS demo_speakers_of ON demo_speakers (organisation_id, environment, name, id);

CREATE TABLE IF NOT EXISTS demo_webhooks (
	id              TEXT PRIMARY KEY,
	organisation_id TEXT NOT NULL,
	environment     TEXT NOT NULL,
	owner_id        TEXT,
	grant_id        TEXT NOT NULL,
	url             TEXT NOT NULL,
	events          TEXT NOT NULL, -- separated by spaces
	active          BOOLEAN NOT NULL,
	sealed          TEXT NOT NULL, -- the signing secret, encrypted, in base64
	created_at      TEXT NOT NULL,
	dropped         INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS demo_webhooks_of ON demo_webhooks (organisation_id, environment, id);

-- What is to be sent to webhooks. An instance that takes a delivery sets its due
-- time to the moment at which another one may take it for dead.
CREATE TABLE IF NOT EXISTS demo_deliveries (
	id         TEXT PRIMARY KEY,
	webhook_id TEXT NOT NULL REFERENCES demo_webhooks ON DELETE CASCADE,
	event      TEXT NOT NULL,
	body       TEXT NOT NULL,
	state      TEXT NOT NULL,
	attempts   INTEGER NOT NULL,
	status     INTEGER NOT NULL,
	problem    TEXT NOT NULL,
	created_ms BIGINT NOT NULL,
	due_ms     BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS demo_deliveries_due ON demo_deliveries (due_ms) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS demo_deliveries_of ON demo_deliveries (webhook_id, created_ms);

-- Who fills the database, until when, and what else the demo has to remember.
CREATE TABLE IF NOT EXISTS demo_state (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
);
