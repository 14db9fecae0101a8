-- How far each watched process has come, as the monitor behind the log says: `state` in a word, the marks in `body`, and
-- when it has to look again (`due`, ms). Each row replaces the one with the version before.
CREATE TABLE onstage_progress (
    process INTEGER PRIMARY KEY, version INTEGER NOT NULL, due INTEGER, state TEXT NOT NULL, body BLOB NOT NULL);
CREATE INDEX onstage_progress_due ON onstage_progress (due, process) WHERE due IS NOT NULL;
CREATE INDEX onstage_progress_late ON onstage_progress (process) WHERE state IN ('stuck', 'overdue');
