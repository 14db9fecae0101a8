-- name: insert_event
-- One event, in commit order.
INSERT INTO onstage_event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: insert_execution
-- An obligation that a batch opens, in the state in which the batch leaves it.
INSERT INTO onstage_execution VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update_execution
-- The newest state of an obligation that was stored before; who it belongs to and whether it gates stay as they are.
INSERT INTO onstage_execution VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, segment = excluded.segment, length = excluded.length,
    epoch = excluded.epoch, attempts = excluded.attempts, due = excluded.due, started = excluded.started,
    ended = excluded.ended, code = excluded.code, waits = excluded.waits, error = excluded.error

-- name: insert_entry
-- One journal entry. A place is written once: a second writer would violate the key.
INSERT INTO onstage_entry VALUES (?, ?, ?)

-- name: insert_mail
-- One event into one mailbox.
INSERT INTO onstage_mail (handler, process, n, about) VALUES (?, ?, ?, ?)

-- name: insert_receipts
-- The receipts of one batch and shard; `seq` is that of the first, and dense.
INSERT INTO onstage_receipt (epoch, shard, seq, count, body) VALUES (?, ?, ?, ?, ?)

-- name: upsert_process
-- The ledger's row of a process.
INSERT INTO onstage_process VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, open = excluded.open, outcome = excluded.outcome,
    ended = excluded.ended, undoable = excluded.undoable, asked = excluded.asked

-- name: insert_door
-- The identity of an event from outside.
INSERT INTO onstage_door VALUES (?, ?, ?)

-- name: keep_note
-- What a node keeps for itself.
INSERT INTO onstage_note VALUES (?, ?, ?) ON CONFLICT (topic, number) DO UPDATE SET body = excluded.body

-- name: drop_notes
-- What a node need not keep any longer.
DELETE FROM onstage_note WHERE topic = ? AND number BETWEEN ? AND ?

-- name: set_batch
-- Which batch was the last one: asked after a commit of unknown outcome.
INSERT INTO onstage_meta VALUES ('batch', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: get_meta
-- One value about the store.
SELECT value FROM onstage_meta WHERE name = ?

-- name: set_meta
-- Set one value about the store.
INSERT INTO onstage_meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: put_meta
-- Set or replace one value about the store.
INSERT INTO onstage_meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- name: peek_executions
-- The stored rows of executions, as the writer checks them.
SELECT * FROM onstage_execution WHERE id IN (?)

-- name: peek_processes
-- The stored rows of processes, as the ledger continues them.
SELECT * FROM onstage_process WHERE id IN (?)

-- name: peek_doors
-- What was admitted under these identities.
SELECT identity, n, payload FROM onstage_door WHERE identity IN (?)

-- name: writer_epoch
-- The newest writer; an older one's commits are refused.
SELECT max(epoch) FROM onstage_incarnation

-- name: incarnations
-- All starts of a writer, in order.
SELECT epoch, name, first_n FROM onstage_incarnation ORDER BY epoch

-- name: insert_incarnation
-- A writer starts.
INSERT INTO onstage_incarnation VALUES (?, ?, ?, ?)

-- name: high_water
-- The largest event number.
SELECT coalesce(max(n), 0) FROM onstage_event

-- name: raise_hlc
-- The largest clock reading that was stored, of events and receipts.
INSERT INTO onstage_meta VALUES ('hlc', ?) ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)

-- name: newest_topology
-- The topology in force.
SELECT epoch, digest FROM onstage_topology ORDER BY epoch DESC LIMIT 1

-- name: insert_topology
-- A new topology epoch; earlier ones are kept.
INSERT INTO onstage_topology VALUES (?, ?, ?, ?)

-- name: types
-- Interned event types.
SELECT id, name, version FROM onstage_type

-- name: insert_type
-- Intern an event type.
INSERT INTO onstage_type (name, version) VALUES (?, ?)

-- name: handlers
-- Interned handlers.
SELECT id, name FROM onstage_handler

-- name: insert_handler
-- Intern a handler.
INSERT INTO onstage_handler (name) VALUES (?)

-- name: name_handler
-- A further delivery of history gets a number. A number or name that is taken violates a key.
INSERT INTO onstage_handler VALUES (?, ?)

-- name: rename_handler
-- A handler kept its identity under a new name (`was=`).
UPDATE onstage_handler SET name = ? WHERE id = ?

-- name: event
-- One event.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_event e JOIN onstage_type t ON t.id = e.type WHERE e.n = ?

-- name: events_of_process
-- The events of one process, in order.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_event e JOIN onstage_type t ON t.id = e.type
WHERE e.process = :process AND e.n > :after AND (:type IS NULL OR t.name = :type) ORDER BY e.n LIMIT :limit

-- name: events
-- The log, in order.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_event e JOIN onstage_type t ON t.id = e.type
WHERE e.n > :after AND (:type IS NULL OR t.name = :type) ORDER BY e.n LIMIT :limit

-- name: execution
-- One execution with its event.
SELECT x.id, x.process, h.name, x.status, x.gating, x.segment, x.length, x.epoch, x.attempts, x.due, x.started,
    x.ended, x.code, x.waits, x.error,
    e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_execution x JOIN onstage_handler h ON h.id = x.id & 65535 JOIN onstage_event e ON e.n = x.id >> 16
JOIN onstage_type t ON t.id = e.type WHERE x.id = ?

-- name: entries
-- The journal of one execution, in order.
SELECT body FROM onstage_entry WHERE execution = ? ORDER BY place

-- name: executions_of_process
-- The executions of one process: each of its events' number range.
SELECT x.id, x.process, h.name, x.status, x.gating, x.segment, x.length, x.epoch, x.attempts, x.due, x.started,
    x.ended, x.code, x.waits, x.error
FROM onstage_event e CROSS JOIN onstage_execution x ON x.id BETWEEN e.n << 16 AND (e.n << 16) + 65535
JOIN onstage_handler h ON h.id = x.id & 65535
WHERE e.process = :process AND e.n >= :after >> 16 AND x.id > :after AND (:statuses IS NULL OR x.status IN (SELECT value FROM json_each(:statuses)))
    AND (:handler IS NULL OR h.name = :handler) ORDER BY e.n, x.id LIMIT :limit

-- name: open_executions
-- Open executions of all processes, in the order of their numbers.
SELECT x.id, x.process, h.name, x.status, x.gating, x.segment, x.length, x.epoch, x.attempts, x.due, x.started,
    x.ended, x.code, x.waits, x.error
FROM onstage_execution x INDEXED BY onstage_execution_open CROSS JOIN onstage_handler h ON h.id = x.id & 65535
WHERE x.status < 6 AND x.id > :after AND (:statuses IS NULL OR x.status IN (SELECT value FROM json_each(:statuses)))
    AND (:handler IS NULL OR h.name = :handler) ORDER BY x.id LIMIT :limit

-- name: ahead
-- The first execution before one, of the same handler and lane, that is set aside. A payload may be anything.
SELECT x.id, x.process, h.name, x.status, x.gating, x.segment, x.length, x.epoch, x.attempts, x.due, x.started,
    x.ended, x.code, x.waits, x.error
FROM onstage_event mine CROSS JOIN onstage_execution x INDEXED BY onstage_execution_set_aside
JOIN onstage_event e ON e.n = x.id >> 16 JOIN onstage_handler h ON h.id = x.id & 65535
LEFT JOIN onstage_blob_body eb ON eb.hash = e.data LEFT JOIN onstage_blob_body mb ON mb.hash = mine.data
WHERE mine.n = :execution >> 16 AND x.status IN (4, 5) AND x.id < :execution AND x.id & 65535 = :execution & 65535
    AND x.status IN (SELECT value FROM json_each(:statuses))
    AND CASE WHEN :path IS NULL THEN e.key = mine.key
        WHEN json_valid(CAST(ifnull(eb.body, e.data) AS TEXT)) AND json_valid(CAST(ifnull(mb.body, mine.data) AS TEXT))
        THEN json_extract(CAST(ifnull(eb.body, e.data) AS TEXT), :path)
            = json_extract(CAST(ifnull(mb.body, mine.data) AS TEXT), :path) END
ORDER BY x.id LIMIT 1

-- name: manifest
-- The declaration of an epoch, or the one in force.
SELECT manifest FROM onstage_topology WHERE epoch = ifnull(:topology, (SELECT max(epoch) FROM onstage_topology))

-- name: process
-- One process.
SELECT * FROM onstage_process WHERE id = ?

-- name: processes
-- Processes, the newest first.
SELECT * FROM onstage_process WHERE id < :before AND (:declared IS NULL OR declared = :declared) ORDER BY id DESC LIMIT :limit

-- name: processes_by_key
-- Processes with one business key, the newest first.
SELECT * FROM onstage_process
WHERE key = :key AND id < :before AND (:declared IS NULL OR declared = :declared) AND (NOT :open_only OR open > 0)
ORDER BY id DESC LIMIT :limit

-- name: open_processes
-- Processes with open obligations, the newest first.
SELECT * FROM onstage_process
WHERE open > 0 AND id < :before AND (:declared IS NULL OR declared = :declared) ORDER BY id DESC LIMIT :limit

-- name: receipts
-- Bundles of receipts in commit order.
SELECT position, epoch, shard, seq, body FROM onstage_receipt WHERE position > :after ORDER BY position LIMIT :limit

-- name: mail
-- The mailbox of one handler for one process, in order.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_mail m JOIN onstage_event e ON e.n = m.n JOIN onstage_type t ON t.id = e.type
WHERE m.handler = :handler AND m.process = :process AND m.n > :after AND m.about = 0 ORDER BY m.n LIMIT :limit

-- name: answer
-- The first letter about one event: the answer to it.
SELECT e.n, e.process, t.name, t.version, e.key, e.cause, e.hlc, e.topology,
    CASE typeof(e.data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = e.data) ELSE e.data END, e.extra
FROM onstage_mail m JOIN onstage_event e ON e.n = m.n JOIN onstage_type t ON t.id = e.type
WHERE m.about = :about AND m.about > 0 ORDER BY m.n LIMIT 1

-- name: unread
-- Waiting executions whose mailbox holds something.
SELECT x.id FROM onstage_execution x INDEXED BY onstage_execution_open
WHERE x.status < 6 AND x.status = 2 AND x.id > :after
    AND EXISTS (SELECT 1 FROM onstage_mail m WHERE m.handler = x.id & 65535 AND m.process = x.process)
ORDER BY x.id LIMIT :limit

-- name: notes
-- What a node keeps under one topic, in order.
SELECT topic, number, body FROM onstage_note WHERE topic = :topic AND number > :after ORDER BY number LIMIT :limit

-- name: newest_notes
-- The same, the newest first.
SELECT topic, number, body FROM onstage_note WHERE topic = :topic ORDER BY number DESC LIMIT :limit

-- name: put_state
-- The newest value of a keyed state; NULL if it was cleared: the row stays, so that its version goes on.
INSERT INTO onstage_state VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (state, key) DO UPDATE SET version = excluded.version, schema = excluded.schema, data = excluded.data,
    execution = excluded.execution, changed = excluded.changed

-- name: peek_state
-- The version of a keyed state, as the writer checks it.
SELECT state, key, version FROM onstage_state WHERE state = ? AND key = ?

-- name: state
-- One keyed state.
SELECT state, key, version, schema,
    CASE typeof(data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = data) ELSE data END,
    execution, changed FROM onstage_state WHERE state = ? AND key = ?

-- name: states
-- Keyed states, in order.
SELECT state, key, version, schema,
    CASE typeof(data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = data) ELSE data END,
    execution, changed FROM onstage_state
WHERE (state, key) > (:after_state, :after_key) AND (:state IS NULL OR state = :state) AND (:key IS NULL OR key = :key)
ORDER BY state, key LIMIT :limit

-- name: states_of_key
-- All states of one key.
SELECT state, key, version, schema,
    CASE typeof(data) WHEN 'text' THEN (SELECT body FROM onstage_blob_body WHERE hash = data) ELSE data END,
    execution, changed FROM onstage_state
WHERE key = :key AND (state, key) > (:after_state, :after_key) AND (:state IS NULL OR state = :state)
ORDER BY state LIMIT :limit

-- name: put_progress
-- How far a watched process has come.
INSERT INTO onstage_progress VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (process) DO UPDATE SET version = excluded.version, due = excluded.due, state = excluded.state,
    body = excluded.body, violated = excluded.violated

-- name: peek_progress
-- The versions of these rows, as the writer checks them.
SELECT process, version FROM onstage_progress WHERE process IN (?)

-- name: progress
-- How far these processes have come.
SELECT * FROM onstage_progress WHERE process IN (?)

-- name: progress_due
-- What is to be looked at again, the earliest first.
SELECT * FROM onstage_progress WHERE due <= :until ORDER BY due, process LIMIT :limit

-- name: put_wave
-- Whether a process is undone.
INSERT INTO onstage_wave VALUES (?, ?, ?, ?)
ON CONFLICT (process) DO UPDATE SET version = excluded.version, state = excluded.state, body = excluded.body

-- name: peek_waves
-- The versions of these rows, as the writer checks them.
SELECT process, version FROM onstage_wave WHERE process IN (?)

-- name: waves
-- Whether these processes are undone.
SELECT * FROM onstage_wave WHERE process IN (?)

-- name: all_waves
-- All processes that are, were, or must not be undone.
SELECT * FROM onstage_wave WHERE process > :after ORDER BY process LIMIT :limit

-- name: open_waves
-- All processes that are being undone.
SELECT * FROM onstage_wave INDEXED BY onstage_wave_open
WHERE state = 'compensating' AND process > :after ORDER BY process LIMIT :limit

-- name: newest_receipt
-- The position of the newest bundle of receipts.
SELECT coalesce(max(position), 0) FROM onstage_receipt

-- name: count_blob
-- One large payload, and how many more rows name it.
INSERT INTO onstage_blob VALUES (?, ?, ?) ON CONFLICT (hash) DO UPDATE SET refs = refs + excluded.refs

-- name: put_blob_body
-- Its content, unless it is there.
INSERT INTO onstage_blob_body VALUES (?, ?) ON CONFLICT (hash) DO NOTHING

-- name: release_blob
-- Fewer rows name it, by a negative number.
UPDATE onstage_blob SET refs = refs + ? WHERE hash = ?

-- name: named_by_state
-- What a keyed state that is about to be replaced names.
SELECT data FROM onstage_state WHERE state = ? AND key = ? AND typeof(data) = 'text'

-- name: unused_blobs
-- Some of those that nothing names.
SELECT hash FROM onstage_blob WHERE refs = 0 AND hash > '' LIMIT ?

-- name: drop_blob
-- One that nothing names.
DELETE FROM onstage_blob WHERE hash = ?

-- name: drop_blob_body
-- Its content.
DELETE FROM onstage_blob_body WHERE hash = ?

-- name: blob_body
-- The content of one large payload.
SELECT body FROM onstage_blob_body WHERE hash = ?

-- name: any_blob
-- Whether a payload was ever offloaded here and is still kept.
SELECT 1 FROM onstage_blob WHERE hash > '' LIMIT 1
