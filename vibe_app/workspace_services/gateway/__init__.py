"""The gateway of a workspace: between OpenCode and the models' providers, as a process of its own.

It alone holds the providers' keys. It counts what each session uses, refuses what is over a limit, and
lets the agent's commands out to the network only as far as the project says. Like the sidecar it imports
nothing of the web app.
"""
