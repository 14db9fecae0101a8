-- Large payloads, each content once. A row whose data is TEXT holds the hash (BLAKE2b-256 in hex) of what stands here; a
-- payload itself is always a BLOB, so no payload can be taken for a reference. `refs` counts the rows that name it, in
-- the transactions that write them. The bodies lie apart: counting does not write them anew.
CREATE TABLE onstage_blob (hash TEXT PRIMARY KEY, size INTEGER NOT NULL, refs INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX onstage_blob_unused ON onstage_blob (hash) WHERE refs = 0;
CREATE TABLE onstage_blob_body (hash TEXT PRIMARY KEY, body BLOB NOT NULL);
