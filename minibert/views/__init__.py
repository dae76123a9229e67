"""Pictures and pages of what a run did and of where a model looks."""
