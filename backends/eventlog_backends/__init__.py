"""The stores that eventlog brings along; each registers in `hooks` as anybody's would."""
