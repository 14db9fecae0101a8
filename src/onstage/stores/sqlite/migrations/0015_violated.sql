-- How many of its rules a watched process has broken, so that they are found without reading every row. What an older
-- version has folded counts as none until something of the process is folded again.
ALTER TABLE onstage_progress ADD COLUMN violated INTEGER NOT NULL DEFAULT 0;
CREATE INDEX onstage_progress_violated ON onstage_progress (process) WHERE violated > 0;
