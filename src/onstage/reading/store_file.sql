-- name: counts
-- How many processes there are, how many are open, and how many executions are set aside.
SELECT (SELECT count(*) FROM onstage_process), (SELECT count(*) FROM onstage_process WHERE open > 0),
    (SELECT count(*) FROM onstage_execution WHERE status IN (4, 5))

-- name: stuck
-- Processes with a dead letter, a diverged execution, or one that was found to be kept from going on.
SELECT process FROM onstage_execution WHERE status IN (4, 5)
UNION SELECT process FROM onstage_progress WHERE state IN ('stuck', 'overdue') AND state = 'stuck'

-- name: behind_set_aside
-- Processes that may queue behind something set aside: at the same handler with the same key. Of handlers of these names
-- it cannot be told from here what stands in whose way: all that is ready there may.
SELECT DISTINCT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_event e ON e.n = x.id >> 16
WHERE x.status < 6 AND x.status = 0 AND x.due IS NULL AND x.gating
    AND (x.id & 65535 IN (SELECT id FROM onstage_handler WHERE name IN (SELECT value FROM json_each(:by_field)))
        OR (x.id & 65535, e.key) IN (SELECT a.id & 65535, ae.key
            FROM onstage_execution a INDEXED BY onstage_execution_set_aside
            JOIN onstage_event ae ON ae.n = a.id >> 16 WHERE a.status IN (4, 5)))

-- name: overdue
-- Processes with a milestone or deadline that is overdue, the newest first.
SELECT process FROM onstage_progress WHERE state IN ('stuck', 'overdue') AND state = 'overdue' ORDER BY process DESC

-- name: violated
-- Processes that have broken a rule, the newest first.
SELECT process FROM onstage_progress WHERE violated > 0 ORDER BY process DESC

-- name: verdict_counts
-- How many processes there are of each kind; those that tell a change of another are none of them.
SELECT coalesce(sum(open = 0 AND ended IS NOT NULL AND outcome IS NOT NULL AND NOT undone), 0),
    coalesce(sum(open = 0 AND ended IS NOT NULL AND outcome IS NULL AND NOT undone), 0),
    coalesce(sum(open > 0 OR ended IS NULL), 0), coalesce(sum(open = 0 AND undone), 0)
FROM (SELECT *, id IN (SELECT process FROM onstage_wave WHERE state NOT IN ('pivoted', 'nothing to undo')) AS undone FROM onstage_process) p
WHERE NOT EXISTS (SELECT 1 FROM onstage_event e JOIN onstage_type t ON t.id = e.type
    WHERE e.n = p.id AND p.open = 0 AND t.name GLOB 'onstage.process.*')

-- name: set_aside
-- Dead letters and diverged executions, the oldest first.
SELECT x.id FROM onstage_execution x JOIN onstage_handler h ON h.id = x.id & 65535
JOIN onstage_process p ON p.id = x.process JOIN onstage_event e ON e.n = x.id >> 16
WHERE x.status IN (4, 5) AND (:handler IS NULL OR h.name = :handler) AND (:key IS NULL OR :key IN (p.key, e.key))
    AND (:error IS NULL OR instr(x.error, :error)) ORDER BY x.id LIMIT :limit

-- name: timers
-- What is due next: the rows from which a node derives its timers.
SELECT x.id, x.due FROM onstage_execution x INDEXED BY onstage_execution_open
WHERE x.status < 6 AND x.status IN (0, 2, 3) AND x.due IS NOT NULL
ORDER BY x.due, x.id LIMIT :limit

-- name: newest_events
-- The newest events of the log.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_event e JOIN onstage_type t ON t.id = e.type
WHERE (:type IS NULL OR t.name = :type) ORDER BY e.n DESC LIMIT :limit

-- name: open_handlers
-- Which handlers have open executions, and how many.
SELECT h.name, count(*) FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_handler h ON h.id = x.id & 65535 WHERE x.status < 6 GROUP BY h.name ORDER BY h.name

-- name: sizes
-- How many rows the tables hold that grow.
SELECT (SELECT count(*) FROM onstage_event), (SELECT count(*) FROM onstage_execution),
    (SELECT count(*) FROM onstage_entry), (SELECT coalesce(sum(count), 0) FROM onstage_receipt)

-- name: blobs
-- How many payloads are offloaded, their bytes, and how many of them nothing names any more.
SELECT count(*), coalesce(sum(size), 0), coalesce(sum(refs = 0), 0) FROM onstage_blob

-- name: check
-- Whether the file is sound: `ok`, or the first thing that is not.
PRAGMA quick_check(1)

-- name: handler_names
-- The names of the handlers by number.
SELECT id, name FROM onstage_handler

-- name: newest_with_key
-- The process of the newest event with a key: a part of a process that began elsewhere has no key of its own.
SELECT process FROM onstage_event WHERE key = :key ORDER BY n DESC LIMIT 1

-- name: newest_ended
-- Executions that have ended and recorded something, the newest first.
SELECT x.id FROM onstage_execution x JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status > 5 AND x.length > 0 AND x.started >= :since AND (:handler IS NULL OR h.name = :handler)
ORDER BY x.id DESC LIMIT :limit

-- name: census
-- How many open executions there are of each handler and fingerprint of its code, and since when.
SELECT h.name, x.code, count(*), min(nullif(x.started, 0)) FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_handler h ON h.id = x.id & 65535 WHERE x.status < 6 GROUP BY h.name, x.code ORDER BY h.name, x.code

-- name: without_handler
-- Processes that wait for a handler of none of these names, the newest first.
SELECT DISTINCT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status < 6 AND x.gating AND h.name NOT IN (SELECT value FROM json_each(:names)) ORDER BY x.process DESC

-- name: map_events
-- A page of the log for the map: which type, and which handler emitted it (NULL: from outside).
SELECT e.n, t.name, h.name FROM onstage_event e JOIN onstage_type t ON t.id = e.type
LEFT JOIN onstage_handler h ON h.id = e.cause & 65535 AND e.cause != 0
WHERE e.n > :after ORDER BY e.n LIMIT :limit

-- name: map_executions
-- A page of the inbox for the map: which type, which handler, how it stands and how long it took.
SELECT x.id, t.name, h.name, x.status, CASE WHEN x.status >= 6 AND x.ended > 0 THEN x.ended - x.started END
FROM onstage_execution x JOIN onstage_event e ON e.n = x.id >> 16 JOIN onstage_type t ON t.id = e.type
JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.id > :after ORDER BY x.id LIMIT :limit

-- name: map_mail
-- A page of the mailboxes for the map; (handler, process, n) is their key.
SELECT m.handler, m.process, m.n, t.name, h.name FROM onstage_mail m JOIN onstage_event e ON e.n = m.n
JOIN onstage_type t ON t.id = e.type JOIN onstage_handler h ON h.id = m.handler
WHERE (m.handler, m.process, m.n) > (:handler, :process, :n) ORDER BY m.handler, m.process, m.n LIMIT :limit
