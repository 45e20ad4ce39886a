-- Times are milliseconds since 1970 UTC, fingerprints 32 bytes. Small columns come first, so that what is read often
-- lies before what is long.

-- One row per accepted delivery; outlives the body.
CREATE TABLE card (
    seq        INTEGER PRIMARY KEY,      -- number of the log entry of the acceptance: order of acceptance
    state      INTEGER NOT NULL,         -- 2 waiting for its recipient, 1 received and body kept, 0 body gone
    created    INTEGER NOT NULL,
    forwarded  INTEGER,
    received   INTEGER,
    expired    INTEGER,
    modified   INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,         -- size of the body
    addressee  BLOB    NOT NULL,
    originator BLOB,
    message_id TEXT    NOT NULL UNIQUE,  -- issued in order of time, so this index grows at its end
    subject    TEXT
) STRICT;

CREATE INDEX card_to ON card (addressee, created);
CREATE INDEX card_to_modified ON card (addressee, modified);
CREATE INDEX card_from ON card (originator, created) WHERE originator IS NOT NULL;
CREATE INDEX card_from_modified ON card (originator, modified) WHERE originator IS NOT NULL;
-- The mailboxes: oldest waiting delivery, oldest delivery since.
CREATE INDEX card_waiting ON card (addressee) WHERE state = 2;
CREATE INDEX card_kept ON card (addressee, created) WHERE state > 0;
-- For retention of cards.
CREATE INDEX card_idle ON card (modified) WHERE state = 0;

CREATE TABLE inspection (
    seq     INTEGER PRIMARY KEY,
    entries TEXT NOT NULL                -- Inspection elements of the card
) STRICT;

CREATE TABLE body (
    seq      INTEGER PRIMARY KEY,
    file     TEXT,                       -- name below bodies/, or nothing if the bytes are in the row
    salt     BLOB,
    layout   TEXT NOT NULL,              -- JSON: certificates, custom headers, where content and attachments are
    bytes    BLOB
) STRICT;

CREATE UNIQUE INDEX body_file ON body (file) WHERE file IS NOT NULL;

-- What waits in each mailbox, kept up to date so that limits cost one look-up.
CREATE TABLE mailbox (
    addressee BLOB PRIMARY KEY,
    waiting   INTEGER NOT NULL,
    bytes     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Ids of deliveries whose card is gone.
CREATE TABLE former_id (
    message_id TEXT PRIMARY KEY,
    released   INTEGER NOT NULL          -- when the card went
) STRICT, WITHOUT ROWID;

CREATE INDEX former_id_age ON former_id (released);

-- The log. Never updated, never deleted from.
CREATE TABLE leaf (
    seq        INTEGER PRIMARY KEY,
    hash       BLOB NOT NULL,
    message_id TEXT,
    record     BLOB NOT NULL
) STRICT;

CREATE INDEX leaf_of_message ON leaf (message_id) WHERE message_id IS NOT NULL;

-- Roots of 256^level leaves, level 1 and up.
CREATE TABLE node (
    level    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    hash     BLOB    NOT NULL,
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    note     TEXT NOT NULL
) STRICT;

CREATE TABLE start (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    count    INTEGER NOT NULL            -- how often the store was opened: first part of file names
) STRICT;
INSERT INTO start VALUES (1, 0);
