"""What a sequence classifier answers with: one class, several classes or a number.

The names are those of `problem_type` in `config.json`. Data and models both use them, and neither
imports the other.
"""

SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEM_TYPES = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)
