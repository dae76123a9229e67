"""Draw figures and HTML pages."""
