"""What survives crashes: processes, system calls, power and disks that fail (log.md, gates 4 to 7).

    python -m tests.crash --minutes 10 --url /tmp/soak
    python -m tests.crash --minutes 10 --url s3              # starts a SeaweedFS of its own

kills writers and compactors at random moments and prints a verdict.
"""
