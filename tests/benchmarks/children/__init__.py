"""One module per product, each run in a process (and virtual environment) of its own."""
