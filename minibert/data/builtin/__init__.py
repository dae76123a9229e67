"""Build the embedded data set from the documentation of installed libraries."""
