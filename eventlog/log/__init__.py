"""The storage engine: lanes, segments, the manifest chain. Knows no runs. See DESIGN.md."""
