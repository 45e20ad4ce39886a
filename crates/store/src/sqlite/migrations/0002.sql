-- Every index that a new card goes into at a place of its own costs a page per acceptance once there are many cards. So a card
-- that was never changed is found by when it was made, and only the others by when they were changed; what else a query asks
-- lies behind, so that it is answered without the card. Bodies that are kept are found in the order of acceptance.
DROP INDEX card_to;
DROP INDEX card_to_modified;
DROP INDEX card_from;
DROP INDEX card_from_modified;
DROP INDEX card_kept;
CREATE INDEX card_to ON card (addressee, created, seq, modified, state);
CREATE INDEX card_to_changed ON card (addressee, modified) WHERE modified > created;
CREATE INDEX card_from ON card (originator, created, seq, modified) WHERE originator IS NOT NULL;
CREATE INDEX card_from_changed ON card (originator, modified) WHERE originator IS NOT NULL AND modified > created;
CREATE INDEX card_kept ON card (state) WHERE state > 0;
