"""What became of a card's tree: its change, what people say of it, and what was decided."""
