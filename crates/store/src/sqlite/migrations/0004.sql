-- Deliveries that the intermediary itself takes to a passive recipient. Their cards have the state -1 until they end in state 0.
CREATE TABLE outbox (
    seq       INTEGER PRIMARY KEY,      -- of the card
    due       INTEGER NOT NULL,         -- nobody tries before: end of a lease, or of a pause after a failure
    deadline  INTEGER NOT NULL,
    attempts  INTEGER NOT NULL,         -- that failed
    failure   INTEGER,                  -- feedback code of the last of them
    in_doubt  INTEGER NOT NULL,         -- whether one of them, or the one that is going on, may have reached the recipient
    receiver  TEXT    NOT NULL,
    languages TEXT
) STRICT;

CREATE INDEX outbox_due ON outbox (due);

-- Feedback code that says why a delivery was given up; `expired` says when.
ALTER TABLE card ADD COLUMN failure INTEGER;
