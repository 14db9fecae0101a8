-- What a letter is about: the number of the request that it answers, 0 for any other event. An answer is looked up by it.
ALTER TABLE onstage_mail ADD COLUMN about INTEGER NOT NULL DEFAULT 0;
CREATE INDEX onstage_mail_about ON onstage_mail (about, n) WHERE about > 0;
