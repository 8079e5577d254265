"""The storage engine: lanes, segments, the manifest chain. Knows events, not runs. See DESIGN.md.

The formats and the store's objects lie here. `write` puts them there, `read` gets them back, `keep`
looks after them, and `log` is the face of all three.
"""
