"""Models from disk."""

from __future__ import annotations

from pathlib import Path

import keras

from dmlkit.errors import DataError


def load_model(path: str | Path) -> keras.Model:
    """Load what `model.save("....keras")` wrote, in Keras's safe mode: no code in the file is run.

    Args:
        path: The `.keras` file.

    Returns:
        The model, not compiled: it scores, and can be compiled anew for training.

    Raises:
        DataError: There is no such file, or it cannot be read as a model.
    """
    if not Path(path).is_file():
        raise DataError(f"There is no model at {path}. A finished run's folder holds one.")
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras, h5py and zipfile each have their own
        raise DataError(
            f"{path} cannot be read as a model ({type(error).__name__}: {str(error).splitlines()[0]}). "
            f"The file may be damaged, or written by another version; train the run again."
        ) from error
