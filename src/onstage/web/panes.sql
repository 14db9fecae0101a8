-- name: fits
-- What every list narrows by: begun within a span, of one declared name, or begun by one event type.
p.id < :before AND p.started >= :since AND p.started < :until AND (:declared IS NULL OR p.declared = :declared)
    AND (:root IS NULL OR :root = (SELECT t.name FROM onstage_event e JOIN onstage_type t ON t.id = e.type WHERE e.n = p.id))

-- name: window
-- The last of so many processes behind a cursor: how far one page looks.
SELECT min(id) FROM (SELECT id FROM onstage_process WHERE id < :before ORDER BY id DESC LIMIT :most)

-- name: list_all
-- Processes, the newest first.
SELECT p.* FROM onstage_process p WHERE p.id >= :floor AND FITS ORDER BY p.id DESC LIMIT :limit

-- name: list_key
-- Processes whose key begins with what is looked for, the newest first; the range of the index is bounded.
SELECT p.* FROM onstage_process p
WHERE p.id IN (SELECT id FROM onstage_process WHERE key >= :q AND key < :q || char(1114111) LIMIT :most)
    AND FITS
ORDER BY p.id DESC LIMIT :limit

-- name: list_ended
-- Processes that have ended, with an outcome or without, the newest first.
SELECT p.* FROM onstage_process p
WHERE p.open = 0 AND p.ended IS NOT NULL AND (p.outcome IS NOT NULL) = :has_outcome
    AND p.id >= :floor AND FITS
ORDER BY p.id DESC LIMIT :limit

-- name: list_open
-- Processes with something open, the newest first: those in which something is ready or runs, or those that wait.
SELECT p.* FROM onstage_process p INDEXED BY onstage_process_open
WHERE p.open > 0 AND FITS
    AND EXISTS (SELECT 1 FROM onstage_execution x INDEXED BY onstage_execution_open_of_process
        WHERE x.process = p.id AND x.status < 6 AND x.gating AND (x.status = 1 OR (x.status = 0 AND x.due IS NULL))) = :active
ORDER BY p.id DESC LIMIT :limit

-- name: list_stuck
-- Processes with something set aside (of one handler, with one error), or overdue, or waiting for a handler that is gone,
-- and those that may queue behind something set aside: whoever reads this judges each.
SELECT p.* FROM onstage_process p
WHERE p.id IN (
        SELECT x.process FROM onstage_execution x INDEXED BY onstage_execution_set_aside
        JOIN onstage_handler h ON h.id = x.id & 65535
        WHERE x.status IN (4, 5) AND (:handler IS NULL OR h.name = :handler)
            AND (:error IS NULL OR substr(x.error, 1, instr(x.error || char(10), char(10)) - 1) = :error)
        UNION SELECT process FROM onstage_progress
        WHERE state IN ('stuck', 'overdue') AND state = 'overdue' AND :handler IS NULL AND :error IS NULL
        UNION SELECT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
        JOIN onstage_handler h ON h.id = x.id & 65535
        WHERE x.status < 6 AND x.gating AND :live IS NOT NULL AND :error IS NULL
            AND (:handler IS NULL OR h.name = :handler) AND h.name NOT IN (SELECT value FROM json_each(:live))
        UNION SELECT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
        JOIN onstage_event e ON e.n = x.id >> 16
        WHERE x.status < 6 AND x.status = 0 AND x.due IS NULL AND x.gating AND :handler IS NULL AND :error IS NULL
            AND (x.id & 65535 IN (SELECT id FROM onstage_handler WHERE name IN (SELECT value FROM json_each(:by_field)))
                OR (x.id & 65535, e.key) IN (SELECT a.id & 65535, ae.key
                    FROM onstage_execution a INDEXED BY onstage_execution_set_aside
                    JOIN onstage_event ae ON ae.n = a.id >> 16 WHERE a.status IN (4, 5))))
    AND FITS
ORDER BY p.id DESC LIMIT :limit

-- name: list_at_handler
-- Processes with something open at one handler, the newest first.
SELECT p.* FROM onstage_process p
WHERE p.id IN (SELECT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
        JOIN onstage_handler h ON h.id = x.id & 65535 WHERE x.status < 6 AND h.name = :handler)
    AND FITS
ORDER BY p.id DESC LIMIT :limit

-- name: count_open
-- How many processes have something open, and in how many of them something is ready or runs; up to a limit.
SELECT count(*), coalesce(sum(active), 0) FROM (
    SELECT EXISTS (SELECT 1 FROM onstage_execution x INDEXED BY onstage_execution_open_of_process
        WHERE x.process = p.id AND x.status < 6 AND x.gating AND (x.status = 1 OR (x.status = 0 AND x.due IS NULL))) AS active
    FROM onstage_process p INDEXED BY onstage_process_open WHERE p.open > 0 LIMIT :most)

-- name: count_ended
-- How many processes have ended with or without an outcome, up to a limit, among the newest; not those that tell a change.
SELECT count(*) FROM (
    SELECT 1 FROM onstage_process p
    WHERE p.open = 0 AND p.ended IS NOT NULL AND (p.outcome IS NOT NULL) = :has_outcome AND p.id >= :floor
        AND (p.declared IS NOT NULL OR NOT EXISTS (SELECT 1 FROM onstage_event e JOIN onstage_type t ON t.id = e.type
            WHERE e.n = p.id AND t.name GLOB 'onstage.process.*'))
        AND NOT EXISTS (SELECT 1 FROM onstage_wave w WHERE w.process = p.id AND w.state NOT IN ('pivoted', 'nothing to undo'))
    LIMIT :most)

-- name: list_undone
-- Processes that are undone, or were, in one of these states of their undoing, the newest first.
SELECT p.* FROM onstage_process p
WHERE p.id IN (SELECT process FROM onstage_wave INDEXED BY onstage_wave_state
        WHERE state NOT IN ('pivoted', 'nothing to undo') AND state IN (SELECT value FROM json_each(:states)))
    AND FITS
ORDER BY p.id DESC LIMIT :limit

-- name: count_undone
-- How many processes are undone, or were, by the state of their undoing, of so many.
SELECT state, count(*) FROM (SELECT state FROM onstage_wave INDEXED BY onstage_wave_state
    WHERE state NOT IN ('pivoted', 'nothing to undo') LIMIT :most)
GROUP BY state

-- name: residue
-- Processes of which something could not be undone, and nobody has said yet that it was mended; the newest first.
SELECT process, body FROM onstage_wave INDEXED BY onstage_wave_state
WHERE state NOT IN ('pivoted', 'nothing to undo') AND state = 'compensated with residue' ORDER BY process DESC LIMIT :limit

-- name: stuck_processes
-- How many processes have something set aside, are overdue, or wait for a handler that is gone; up to a limit.
SELECT count(*) FROM (
    SELECT process FROM onstage_execution INDEXED BY onstage_execution_set_aside WHERE status IN (4, 5)
    UNION SELECT process FROM onstage_progress WHERE state IN ('stuck', 'overdue') AND state = 'overdue'
    UNION SELECT x.process FROM onstage_execution x INDEXED BY onstage_execution_open
    JOIN onstage_handler h ON h.id = x.id & 65535
    WHERE x.status < 6 AND x.gating AND :live IS NOT NULL AND h.name NOT IN (SELECT value FROM json_each(:live))
    LIMIT :most)

-- name: newest_process
-- The number of the newest process.
SELECT coalesce(max(id), 0) FROM onstage_process

-- name: declared_names
-- The declared names of the newest processes.
SELECT DISTINCT declared FROM (SELECT declared FROM onstage_process ORDER BY id DESC LIMIT :most)
WHERE declared IS NOT NULL ORDER BY declared

-- name: set_aside_groups
-- What is set aside, by handler, status and the first line of the error: how much, since when, the newest, the oldest number.
SELECT h.name, a.status, a.line, count(*), min(a.ended), max(a.ended), min(a.id) FROM (
    SELECT id, status, ended, substr(error, 1, instr(error || char(10), char(10)) - 1) AS line
    FROM onstage_execution INDEXED BY onstage_execution_set_aside WHERE status IN (4, 5) ORDER BY id DESC LIMIT :most) a
JOIN onstage_handler h ON h.id = a.id & 65535
GROUP BY h.name, a.status, a.line ORDER BY count(*) DESC, h.name LIMIT :limit

-- name: set_aside_of_group
-- The executions of one such group, the oldest first.
SELECT x.id, x.process FROM onstage_execution x INDEXED BY onstage_execution_set_aside
JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status IN (4, 5) AND x.status = :status AND h.name = :handler
    AND coalesce(substr(x.error, 1, instr(x.error || char(10), char(10)) - 1), '') = :line ORDER BY x.id LIMIT :limit

-- name: open_without_handler
-- Open obligations of handlers that the newest application does not have: how many, since which event, some processes.
SELECT h.name, count(*), min(x.id), max(x.id), min(x.process), max(x.process)
FROM onstage_execution x INDEXED BY onstage_execution_open JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status < 6 AND x.gating AND h.name NOT IN (SELECT value FROM json_each(:live)) GROUP BY h.name ORDER BY h.name

-- name: overdue_rows
-- Watched processes that are overdue, the newest first.
SELECT process, body FROM onstage_progress WHERE state IN ('stuck', 'overdue') AND state = 'overdue'
ORDER BY process DESC LIMIT :limit

-- name: newest_watched
-- The newest of the watched processes.
SELECT process, body FROM onstage_progress ORDER BY process DESC LIMIT :limit

-- name: newest_dead_ends
-- The newest declared processes that ended without an outcome.
SELECT id, wire_id, declared, key, ended FROM onstage_process
WHERE open = 0 AND ended IS NOT NULL AND outcome IS NULL AND declared IS NOT NULL AND id >= :floor
    AND NOT EXISTS (SELECT 1 FROM onstage_wave w WHERE w.process = onstage_process.id AND w.state NOT IN ('pivoted', 'nothing to undo'))
ORDER BY id DESC LIMIT :limit

-- name: late_timers
-- What was due and has not fired, by handler: how many, since when, some processes.
SELECT h.name, count(*), min(x.due), max(x.due), min(x.process), max(x.process)
FROM onstage_execution x INDEXED BY onstage_execution_open JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status < 6 AND x.status IN (0, 2, 3) AND x.due < :before GROUP BY h.name ORDER BY count(*) DESC

-- name: lagging
-- Handlers with work that is ready, how much, and the oldest of it: its event's clock.
SELECT h.name, r.count, e.hlc, r.last, r.first FROM (
    SELECT x.id & 65535 AS handler, count(*) AS count, min(x.id) AS first, max(x.id) AS last
    FROM onstage_execution x INDEXED BY onstage_execution_open
    WHERE x.status < 6 AND x.status = 0 AND x.due IS NULL GROUP BY x.id & 65535) r
JOIN onstage_handler h ON h.id = r.handler JOIN onstage_event e ON e.n = r.first >> 16

-- name: open_at_handlers
-- How much is open at each handler, and how much of it is set aside.
SELECT h.name, count(*), sum(x.status IN (4, 5)) FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_handler h ON h.id = x.id & 65535 WHERE x.status < 6 GROUP BY x.id & 65535

-- name: type_names
-- The names of all event types.
SELECT DISTINCT name FROM onstage_type ORDER BY name

-- name: type_counts
-- How many events there are of each type among the newest, and the clock of the newest of each.
SELECT t.name, c.count, c.hlc FROM (
    SELECT type, count(*) AS count, max(hlc) AS hlc
    FROM (SELECT type, hlc FROM onstage_event ORDER BY n DESC LIMIT :most) GROUP BY type) c
JOIN onstage_type t ON t.id = c.type

-- name: event_window
-- The last of so many events behind a cursor.
SELECT min(n) FROM (SELECT n FROM onstage_event WHERE n < :before ORDER BY n DESC LIMIT :most)

-- name: samples
-- The newest events of one type.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_event e JOIN onstage_type t ON t.id = e.type
WHERE e.type IN (SELECT id FROM onstage_type WHERE name = :type) AND e.n < :before AND e.n >= :floor
ORDER BY e.n DESC LIMIT :limit

-- name: topologies
-- What was declared, the newest first, and since when (ms).
SELECT epoch, manifest, since FROM onstage_topology ORDER BY epoch DESC LIMIT :limit

-- name: newest_epoch
-- The topology in force.
SELECT max(epoch) FROM onstage_topology

-- name: events_of_shape
-- Events of a type that were stored while some topologies were in force, the newest first: their processes and clocks.
SELECT process, hlc FROM onstage_event
WHERE type IN (SELECT id FROM onstage_type WHERE name = :type AND version = :version)
    AND topology BETWEEN :first AND :last AND n >= :floor
ORDER BY n DESC

-- name: recent_events
-- The newest events for the map: which type, which handler emitted it (NULL: from outside), its clock.
SELECT t.name, h.name, e.hlc FROM onstage_event e JOIN onstage_type t ON t.id = e.type
LEFT JOIN onstage_handler h ON h.id = e.cause & 65535 AND e.cause != 0 WHERE e.n >= :floor

-- name: recent_executions
-- What they started: which type, which handler, how it stands and how long it took.
SELECT t.name, h.name, x.status, CASE WHEN x.status >= 6 AND x.ended > 0 THEN x.ended - x.started END
FROM onstage_execution x JOIN onstage_event e ON e.n = x.id >> 16 JOIN onstage_type t ON t.id = e.type
JOIN onstage_handler h ON h.id = x.id & 65535 WHERE x.id >= :floor << 16

-- name: recent_mail
-- The types of letters to one handler, of the newest processes.
SELECT t.name FROM onstage_mail m JOIN onstage_event e ON e.n = m.n JOIN onstage_type t ON t.id = e.type
WHERE m.handler = (SELECT id FROM onstage_handler WHERE name = :handler) AND m.process >= :floor LIMIT :most

-- name: open_on_edges
-- What is open and set aside by event type and handler.
SELECT t.name, h.name, count(*), sum(x.status IN (4, 5)) FROM onstage_execution x INDEXED BY onstage_execution_open
JOIN onstage_event e ON e.n = x.id >> 16 JOIN onstage_type t ON t.id = e.type JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status < 6 GROUP BY e.type, x.id & 65535

-- name: mark_of_process
-- What is different when anything of a process has changed: its newest event, and how its open executions stand.
SELECT (SELECT max(n) FROM onstage_event WHERE process = :process),
    (SELECT group_concat(id || ':' || status || ':' || length || ':' || attempts || ':' || coalesce(due, ''))
        FROM (SELECT * FROM onstage_execution INDEXED BY onstage_execution_open_of_process
            WHERE process = :process AND status < 6 ORDER BY id LIMIT 1000)),
    (SELECT version FROM onstage_progress WHERE process = :process)

-- name: mark_of_attention
-- What is different when something else needs somebody.
SELECT (SELECT count(*) || ':' || coalesce(max(id), 0) || ':' || coalesce(sum(id), 0)
        FROM (SELECT id FROM onstage_execution INDEXED BY onstage_execution_set_aside WHERE status IN (4, 5) LIMIT 20000)),
    (SELECT count(*) || ':' || coalesce(max(process), 0)
        FROM (SELECT process FROM onstage_progress WHERE state IN ('stuck', 'overdue') LIMIT 20000)),
    (SELECT body FROM onstage_note WHERE topic = 'paused' AND number = 0)

-- name: mark_of_processes
-- What is different when the list of processes is.
SELECT (SELECT max(n) FROM onstage_event), (SELECT max(position) FROM onstage_receipt)

-- name: mark_of_map
-- What is different when something went over an edge.
SELECT (SELECT max(n) FROM onstage_event), (SELECT max(position) FROM onstage_receipt),
    (SELECT max(epoch) FROM onstage_topology)

-- name: mark_of_events
-- What is different when there are more events.
SELECT (SELECT max(n) FROM onstage_event)

-- name: mark_of_services
-- What is different when handlers stand differently.
SELECT (SELECT max(position) FROM onstage_receipt), (SELECT body FROM onstage_note WHERE topic = 'paused' AND number = 0)

-- name: mark_of_audit
-- What is different when somebody did something.
SELECT (SELECT max(number) FROM onstage_note WHERE topic = 'operated')

-- name: set_aside_keys
-- What is set aside at one handler, in order, with the key of its event.
SELECT x.id, x.status, e.key FROM onstage_execution x INDEXED BY onstage_execution_set_aside
JOIN onstage_event e ON e.n = x.id >> 16
WHERE x.status IN (4, 5) AND x.id & 65535 = :handler ORDER BY x.id LIMIT :limit

-- name: entries_of_page
-- The journals of the executions of one process from one event to another, in order.
SELECT j.execution, j.body FROM onstage_event e CROSS JOIN onstage_entry j
ON j.execution BETWEEN e.n << 16 AND (e.n << 16) + 65535
WHERE e.process = :process AND e.n BETWEEN :first AND :last ORDER BY e.n, j.execution, j.place LIMIT :limit
