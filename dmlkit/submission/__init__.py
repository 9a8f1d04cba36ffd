"""YouTube-8M's form for predictions, a CSV file: written, checked, measured. No model, no TensorFlow.

    VideoId,LabelConfidencePairs
    Vmm1,13 0.9727 4 0.8813 26 0.2054

A line a video: its id and at most 20 classes, each with its score, the highest first.

    writing      each video's best classes → the file, whole or not at all
    lines        the file → its lines, each with what is wrong with it
    checking     lines against the ids and classes of a data set: every fault
    measuring    GAP@20 of a file, with its interval
"""

from dmlkit.submission.checking import KINDS, Checked, check
from dmlkit.submission.lines import Fault, read_lines
from dmlkit.submission.measuring import evaluate
from dmlkit.submission.writing import HEADER, file_for, lines_for_people, submission_lines

__all__ = [
    "HEADER",
    "KINDS",
    "Checked",
    "Fault",
    "check",
    "evaluate",
    "file_for",
    "lines_for_people",
    "read_lines",
    "submission_lines",
]
