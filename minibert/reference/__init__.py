"""Slow, readable implementations: taught in the lessons, used as oracles in the tests."""
