"""Video and audio files into features, by an extractor that data sets and runs record (extra ``video``).

decoding         files → pictures and sound, one stretch of time after another
descriptors      the baseline: descriptors of pictures and sound without learned weights
extractors       the tables of extractors; a recipe, the record of how features were made; a clip's features by it
extract          many files → a data set
clips            one file → a data set of one video, as a run reads it

The names below are imported at first use.
"""

from dmlkit.runtime import import_lazily

__getattr__, __dir__, __all__ = import_lazily(
    __name__,
    {
        "clips": ["clip_dataset"],
        "extract": ["extract_features"],
        "extractors": ["Extracted", "Extractor", "Recipe"],
        "decoding": ["MEDIA", "Media", "probe", "read_pictures", "read_sound"],
        "descriptors": ["picture_descriptor", "sound_descriptor"],
    },
)
