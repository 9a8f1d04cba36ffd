"""The measures need numpy and nothing else."""

import subprocess
import sys
from pathlib import Path


def test_the_measures_load_no_heavy_library():
    heavy = "{'keras', 'tensorflow', 'pandas', 'matplotlib', 'sklearn', 'scipy'}"
    code = f"import sys, dmlkit.metrics; print(sorted({heavy} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
