-- Deliveries that come in chunks: what is there of them, and what became of those that were whole.
CREATE TABLE upload (
    upload       INTEGER PRIMARY KEY,
    owner        BLOB    NOT NULL,      -- who may go on with it
    message_id   TEXT    NOT NULL,      -- of the delivery
    used         INTEGER NOT NULL,      -- when the last chunk came
    chunk_size   INTEGER NOT NULL,      -- units of 1024 bytes
    total        INTEGER NOT NULL,      -- chunks
    message_size INTEGER NOT NULL,      -- units of 1024 bytes
    bytes        INTEGER NOT NULL,      -- of the chunks that are there
    codes        TEXT                   -- feedback on the delivery once it was handled; the chunks are gone then
) STRICT;

CREATE UNIQUE INDEX upload_of ON upload (owner, message_id);
CREATE INDEX upload_used ON upload (used);
CREATE INDEX upload_open ON upload (owner, bytes, codes) WHERE codes IS NULL;

CREATE TABLE chunk (
    upload INTEGER NOT NULL,
    number INTEGER NOT NULL,
    sha256 BLOB    NOT NULL,
    file   TEXT,
    bytes  BLOB,
    UNIQUE (upload, number)
) STRICT;

-- Answers that are fetched in chunks, which must not change meanwhile.
CREATE TABLE prepared (
    seq    INTEGER PRIMARY KEY,         -- of the card
    used   INTEGER NOT NULL,            -- when a chunk was last asked for, about
    length INTEGER NOT NULL,
    file   TEXT,
    bytes  BLOB
) STRICT;

CREATE INDEX prepared_used ON prepared (used);
