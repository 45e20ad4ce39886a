-- Deliveries that were accepted while nobody said whether some of their certificates were revoked: who is asked again, and when.
CREATE TABLE recheck (
    seq          INTEGER PRIMARY KEY,   -- of the card
    due          INTEGER NOT NULL,
    until        INTEGER NOT NULL,      -- nobody is asked after that
    certificates BLOB    NOT NULL       -- as the intermediary gave them
) STRICT;

CREATE INDEX recheck_due ON recheck (due);
