-- Whether a process has begun a step with an undo, and what asked for it to be undone: the number of an outcome in
-- `failed=`, -1 for a rejection. What was under way in an older version may have begun one.
ALTER TABLE onstage_process ADD COLUMN undoable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE onstage_process ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
UPDATE onstage_process SET undoable = 1 WHERE open > 0;
