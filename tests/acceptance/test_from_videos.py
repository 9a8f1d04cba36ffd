"""docs/how-to/from-videos.md as it stands: its commands and its code, in their order, in a new folder."""

import json
import re
import shlex
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

import dmlkit

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "from-videos.md"
STEP = re.compile(r"^```python\n(.+?)^```|^    \.venv/bin/dmlkit ([^#\n]+)", re.MULTILINE | re.DOTALL)
SCENE = re.compile(r'<script class="dmlkit-scene" type="application/json">(.+?)</script>', re.DOTALL)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_runs_as_it_stands(tmp_path, monkeypatch, command):
    pytest.importorskip("av")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DMLKIT_HOME", str(tmp_path))
    names, printed = {}, {}
    for code, line in STEP.findall(PAGE.read_text(encoding="utf-8")):
        if code:
            exec(code, names)
        else:
            ended, printed[line], error = command(*shlex.split(line))
            assert ended == 0, (line, error)
    assert len(printed) == 7
    shown, predicted, as_json = (printed[line] for line in printed if re.match("data show|predict", line))

    assert re.search(r"train +6 videos.+tuning +3.+validate +3", shown, re.DOTALL)
    dataset = dmlkit.open_dataset("data/clips")
    assert dataset.class_names == ("blue diagonals", "green columns", "red rows")
    recorded = {"pictures": "classic", "sound": "classic", "fps": 1.0}
    assert recorded.items() <= names["run"].record["data"]["extractor"].items()

    # The page of the report shows a clip of the validation split and plays its file.
    report = (tmp_path / "report" / "05-attention.html").read_text()
    (scene, *_) = map(json.loads, SCENE.findall(report))
    media = scene["videos"][0]["media"]
    played = (tmp_path / "report" / unquote(media["player"]["src"])).resolve()
    assert played.samefile(tmp_path / "clips" / played.name) and not media["problems"]
    assert media["thumbnails"]["src"].startswith("data:image/webp") and media["thumbnails"]["count"] >= 8

    lines = [line.split("  ") for line in predicted.splitlines()]
    scores = names["scores"].astype(float)
    order = np.argsort(-scores)
    assert lines == [[f"{scores[k]:.4f}", dataset.class_names[k]] for k in order]
    assert lines[0][1] == "green columns" and scores[1] > 0.5
    best = {"class": 1, "name": "green columns", "score": scores[1]}
    assert json.loads(as_json) == {"clip": "new.mp4", "classes": [best]}
    assert names["difference"] <= 1e-5

    seen = names["view"].evidence[0]
    assert seen.frames == 9 and seen.times.tolist() == [k + 0.5 for k in range(9)]
    assert seen.scores[seen.names.index("green columns")] == pytest.approx(scores[1], abs=1e-3)
