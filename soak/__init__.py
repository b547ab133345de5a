"""Whether the engine loses nothing: hours of bad luck in minutes, then every promise checked row by row.

`python -m soak` starts replicas of the app as real processes on a real database,
has people use them through REST, and kills, freezes and cuts off whatever can
be. What each workspace's sidecar said is kept apart, on disk; at the end the
logged must say the same. Random decisions come from a seed that is printed; when
each falls does not repeat.
"""
