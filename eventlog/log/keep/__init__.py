"""Keeping a log: compaction, collection, recovery of dead writers, copies, verification."""
