-- Keyed state of services: one row per (state, key), replaced by the commit that changes it. `version` counts the changes
-- for ever; a cleared state has no data and keeps its row.
CREATE TABLE onstage_state (
    state TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, schema INTEGER NOT NULL, data BLOB,
    execution INTEGER NOT NULL, changed INTEGER NOT NULL, PRIMARY KEY (state, key)) WITHOUT ROWID;
CREATE INDEX onstage_state_key ON onstage_state (key);
