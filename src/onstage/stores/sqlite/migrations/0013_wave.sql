-- Processes that are undone, or have passed the point of no return: `state` in a word, why and since when in `body`. Each
-- row replaces the one with the version before: the first decides, and a second first is refused.
CREATE TABLE onstage_wave (
    process INTEGER PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX onstage_wave_open ON onstage_wave (process) WHERE state = 'compensating';
