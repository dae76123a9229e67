"""Check the exercises of the lessons, and say in words what is wrong with a solution."""
