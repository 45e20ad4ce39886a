-- A new card goes into one index less: bodies are found for retention by when they were received, or among what waits.
DROP INDEX card_kept;
DROP INDEX card_waiting;
CREATE INDEX card_waiting ON card (addressee, seq, created) WHERE state = 2;
CREATE INDEX card_received ON card (received) WHERE state = 1;
