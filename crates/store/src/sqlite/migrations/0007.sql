-- Stamps of time-stamp services. Cards all of whose stamps are plain have no row here, and say so.
ALTER TABLE card ADD COLUMN stamped INTEGER;  -- 1 if there are rows for it in `stamp`

CREATE TABLE stamp (
    seq    INTEGER NOT NULL,                  -- of the card
    event  INTEGER NOT NULL,                  -- 1 creation, 2 reception
    wanted INTEGER,                           -- since when a token is waited for
    token  BLOB,
    PRIMARY KEY (seq, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX stamp_wanted ON stamp (wanted) WHERE wanted IS NOT NULL;
