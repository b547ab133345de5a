"""A cluster for tests: its API over HTTP, a node that pretends, a node that runs the real processes."""
