"""The names of what a sequence classifier can answer with and read, shared by data and models.

Neither of them imports the other, and the command line needs the names without PyTorch.
"""

# One class, several classes or a number: `problem_type` in `config.json`.
SINGLE_LABEL = "single_label_classification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
PROBLEM_TYPES = (SINGLE_LABEL, MULTI_LABEL, REGRESSION)

# `--pooling`: see `model/pooling.py`.
POOLINGS = r"pooler|cls|mean|max|attention|cnn|lstm|gru|last(?P<layers>\d{1,3})-(?P<how>concat|mix)"
POOLING_NAMES = "pooler, cls, mean, max, attention, cnn, lstm, gru, last4-concat or last4-mix"
# `--long-text` and `--fuse`: what is read of a text that is too long; how windows are fused.
LONG_TEXTS = ("head", "tail", "head+tail", "windows")
FUSIONS = ("mean", "max", "attention", "transformer")
# Two towers, see `model/two_towers.py`.
TOWER_POOLINGS = ("mean", "cls", "max")
COMBINATIONS = ("cosine", "difference")
# `--precision` of inference, see `model/int8.py`.
INFERENCE_PRECISIONS = ("float32", "bfloat16", "int8")
