"""Two sides compared on the same videos: runs of one experiment against runs of another.

sides       what was named, opened: runs of one experiment under one profile, a seed each
names       names of experiments in the place of paths
same        whether two sides speak of the same data, videos and labels; their scores in one order
comparing   `compare`
result      `Comparison`: what came out, as values
wording     a comparison in words, for a terminal and for a notebook
"""

from dmlkit.comparison.comparing import compare
from dmlkit.comparison.names import runs_of_names
from dmlkit.comparison.result import ClassChange, Comparison, Side
from dmlkit.comparison.sides import two_sides

__all__ = ["ClassChange", "Comparison", "Side", "compare", "runs_of_names", "two_sides"]
