"""Run minibert from the command line, one module per command."""
