"""The experiments behind the results: one folder for each paper, on top of the public parts of `latentry`.

Run one with `python -m experiments recovery --preset quick`. This package is not part of the installed library.
"""
