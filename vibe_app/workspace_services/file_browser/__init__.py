"""The file browser of a workspace: its files over HTTP, as a process of its own.

It never leaves the workspace, whatever the agent does to it meanwhile; `.git` and
`.opencode` do not exist for it. Like the sidecar it imports nothing of the web app.
"""
