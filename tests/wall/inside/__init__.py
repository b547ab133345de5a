"""What an agent's command tries: standard library only, as it is copied into a workspace and run there."""
