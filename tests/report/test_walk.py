"""The real notebooks, executed by the command's own code on small data."""

import json

import pytest
from bs4 import BeautifulSoup

from dmlkit.report import build_report, find_notebooks, notebooks_folder, outside_references

# What stands beside the ladder has tests of its own, and takes time.
LEAN = {"ablations": "false", "fusion_ablations": "false", "fewer_frames": "false", "all_experiments": "false"}
FRAMES_ONLY = ("02-bi-lstm", "03-bi-gru", "05-attention")


def report_on(data, out, parameters):
    report = build_report(data=data, profile="smoke", out=out, parameters=parameters)
    failures = {chapter.name: chapter.failure.message for chapter in report.chapters if chapter.failure}
    assert failures == {}
    assert report.exit_code == 0
    for path in out.glob("*.html"):
        html = path.read_text(encoding="utf-8")
        page = BeautifulSoup(html, "html.parser")
        assert outside_references(html) == []
        assert len(page.find_all("h1")) == 1
        assert all(
            len(image["alt"]) > 20 and not image["alt"].startswith("A picture without a description")
            for image in page.find_all("img")
        )
        # The view of attention is a script of ours, and its data.
        assert bool(page.find("script")) == (path.stem == "05-attention")
    results = json.loads((out / "results.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    return {chapter.name: chapter.status for chapter in report.chapters}, results


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_walk_on_frames(generated, tmp_path):
    chapters, results = report_on(generated, tmp_path / "out", LEAN)
    assert list(chapters) == [notebook.name for notebook in find_notebooks(notebooks_folder())]
    assert set(chapters.values()) == {"executed"}
    assert [row["status"] for row in results["ladder"]] == ["trained"] * 8 + ["not trained"]
    assert all(row["gap"] > 0 and row["videos"] == 100 for row in results["ladder"][:8])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_walk_on_video_level(generated, tmp_path):
    chapters, results = report_on(generated / "video", tmp_path / "out", LEAN)
    assert {name for name, status in chapters.items() if status == "not applicable"} == set(FRAMES_ONLY)
    assert [row["status"] for row in results["ladder"]] == ["trained"] * 6


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_walk_on_one_modality(generated, tmp_path):
    lines = (generated / "dataset.toml").read_text(encoding="utf-8").split("\n\n")
    kept = [part for part in lines if not part.lstrip().startswith('[features."audio"]')]
    assert len(kept) == len(lines) - 1
    data = tmp_path / "data"
    data.mkdir()
    for path in generated.iterdir():
        (data / path.name).symlink_to(path)
    (data / "dataset.toml").unlink()
    (data / "dataset.toml").write_text("\n\n".join(kept), encoding="utf-8")
    chapters, results = report_on(data, tmp_path / "out", LEAN)
    assert [name for name, status in chapters.items() if status == "not applicable"] == ["04-fusion"]
    status = {row["name"]: row["status"] for row in results["ladder"]}
    assert status["bi-gru-shared-space"] == status["bi-gru-projection"] == "not applicable"
    assert status["attention"] == status["ensemble-lr-lstm"] == "trained"
