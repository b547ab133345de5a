"""The session proxy of a workspace: an authenticated proxy to OpenCode, as a process of its own.

It adds OpenCode's password itself and lets through what talking with the agent
needs, and nothing that shows secrets or runs what the agent did not.
"""
