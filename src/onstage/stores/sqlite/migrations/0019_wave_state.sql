-- Undone processes by their state, so that those with residue are found without reading all that were to be undone.
CREATE INDEX onstage_wave_state ON onstage_wave (state, process) WHERE state NOT IN ('pivoted', 'nothing to undo');
