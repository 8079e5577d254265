"""Keeping a log: compaction, collection, recovery of dead writers, copies, verification."""

TARGET_ROWS = 4 * 1024 * 1024  # of a data file that is merged no more
SEAL_SILENT_DAYS = 7.0  # a lane that wrote nothing for so long is ended by the compactor
