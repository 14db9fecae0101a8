-- The first layout. Numbers are keys, in commit order; names and event types are interned. No random text index lies on
-- the path of an event: text is looked up at the door, and by key once per process.

CREATE TABLE onstage_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- One row per start of a writer: events from first_n on belong to it. `epoch` is the row's number.
CREATE TABLE onstage_incarnation (
    epoch INTEGER PRIMARY KEY, name TEXT NOT NULL, first_n INTEGER NOT NULL, started INTEGER NOT NULL);

CREATE TABLE onstage_topology (
    epoch INTEGER PRIMARY KEY, digest TEXT NOT NULL, manifest BLOB NOT NULL, since INTEGER NOT NULL);

CREATE TABLE onstage_type (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL, UNIQUE (name, version));

CREATE TABLE onstage_handler (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- The log. `process` is the number of the root event, `cause` the execution that emitted the event (0: from outside).
-- `extra` holds the CloudEvents attributes that came from outside (JSON).
CREATE TABLE onstage_event (
    n INTEGER PRIMARY KEY, process INTEGER NOT NULL, type INTEGER NOT NULL, key TEXT, cause INTEGER NOT NULL,
    hlc INTEGER NOT NULL, topology INTEGER NOT NULL, data BLOB NOT NULL, extra BLOB);
CREATE INDEX onstage_event_process ON onstage_event (process);

-- The inbox: one row per (event, handler), forever: id = n << 16 | handler. It is the obligation, the state of its
-- execution, its timer (`due`) and its wait, in one. Status below 6 is open.
CREATE TABLE onstage_execution (
    id INTEGER PRIMARY KEY, process INTEGER NOT NULL, status INTEGER NOT NULL, gating INTEGER NOT NULL,
    segment INTEGER NOT NULL, length INTEGER NOT NULL, epoch INTEGER NOT NULL, attempts INTEGER NOT NULL,
    due INTEGER, started INTEGER NOT NULL, ended INTEGER NOT NULL, code INTEGER NOT NULL, waits TEXT, error TEXT);
CREATE INDEX onstage_execution_open ON onstage_execution (id) WHERE status < 6;
CREATE INDEX onstage_execution_open_of_process ON onstage_execution (process) WHERE status < 6;
CREATE INDEX onstage_execution_set_aside ON onstage_execution (id) WHERE status IN (4, 5);

-- The journal.
CREATE TABLE onstage_entry (
    execution INTEGER NOT NULL, place INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (execution, place)) WITHOUT ROWID;

-- The mailbox: events for handlers that wait for their type, whether or not somebody waits yet.
CREATE TABLE onstage_mail (
    handler INTEGER NOT NULL, process INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (handler, process, n)) WITHOUT ROWID;

-- Receipts, dense in (writer incarnation, shard): what observers fold. A row bundles what one batch wrote for one shard;
-- `seq` is that of the first, `count` how many there are.
CREATE TABLE onstage_receipt (
    position INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, shard INTEGER NOT NULL, seq INTEGER NOT NULL,
    count INTEGER NOT NULL, body BLOB NOT NULL);

-- The ledger.
CREATE TABLE onstage_process (
    id INTEGER PRIMARY KEY, wire_id TEXT NOT NULL, declared TEXT, key TEXT, digest BLOB NOT NULL, open INTEGER NOT NULL,
    outcome TEXT, started INTEGER NOT NULL, ended INTEGER);
CREATE INDEX onstage_process_key ON onstage_process (key) WHERE key IS NOT NULL;
CREATE INDEX onstage_process_open ON onstage_process (id) WHERE open > 0;

-- Identities of events from outside: BLAKE2b-128 of (source, id), and of the payload.
CREATE TABLE onstage_door (identity BLOB PRIMARY KEY, n INTEGER NOT NULL, payload BLOB NOT NULL) WITHOUT ROWID;
