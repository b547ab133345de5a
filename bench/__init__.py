"""What docs/performance.md promises, measured on the built app in a real browser.

`python -m bench` prints one line for each figure. A figure is a ratio of two
things measured in one run, or an absolute with the machine beside it; none of
them is a test, as a busy machine fails no promise.
"""
