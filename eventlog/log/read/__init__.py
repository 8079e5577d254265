"""The read side: snapshots, positions, exact scans, tails, frames."""
