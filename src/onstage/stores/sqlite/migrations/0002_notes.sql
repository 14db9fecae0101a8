-- What a node keeps for itself, under a topic and a number: how far it has published, where it reads on in the broker's
-- log, the topologies it has seen.
CREATE TABLE onstage_note (
    topic TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (topic, number)) WITHOUT ROWID;
