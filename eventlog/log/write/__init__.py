"""The write path: from a call that returns in a microsecond to segments in the store."""
