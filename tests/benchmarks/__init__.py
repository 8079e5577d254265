"""Measures eventlog beside other trackers: ``python -m tests.benchmarks write``.

Nothing here asserts a time. ``workload`` says what is measured, ``product`` who does it,
``drive`` how, ``table`` how it reads; ``children/`` holds the code that runs inside each product.
"""
