"""The built-in views: pure folds over events. No I/O, and no view imports another's internals."""
