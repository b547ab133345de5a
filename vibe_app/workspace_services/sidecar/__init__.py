"""The small HTTP service beside OpenCode in each workspace.

It imports nothing of the web app but the shared messages and errors, so that it
can ship and start alone.
"""
