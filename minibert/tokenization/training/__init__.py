"""Learn a WordPiece vocabulary from text, or extend one."""
