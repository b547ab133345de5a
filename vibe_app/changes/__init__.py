"""What is done with cards' changes in their workspaces: decisions carried out, texts read."""
