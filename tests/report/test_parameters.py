"""Parameters cells, values and files of values."""

import papermill
import pytest

from dmlkit.errors import UsageError
from dmlkit.report.parameters import Parameter, read_parameter_file, read_parameters
from dmlkit.report.plan import notebooks_folder, read_notebook


def test_a_cell_is_read_as_papermill_reads_it():
    for path in sorted(notebooks_folder().glob("*.ipynb")):
        inspected = papermill.inspect_notebook(path)
        ours = {each.name: each for each in read_notebook(path).parameters}
        # Its pattern of a line knows no `str | None`.
        assert list(inspected) == [name for name, each in ours.items() if " | None" not in each.type]
        for name, theirs in inspected.items():
            assert ours[name].type == theirs["inferred_type_name"], path
            assert repr(ours[name].default) == theirs["default"].replace('"', "'"), path
            assert ours[name].help == theirs["help"] != "", path


def test_text_becomes_a_value_of_the_parameters_type():
    for type, default, text, value in (
        ("int", 1, "12", 12), ("float", 1.0, "1e-3", 0.001), ("float", 1.0, 2, 2.0), ("bool", True, "no", False),
        ("str", "a", "1", "1"), ("str", "", "", ""), ("int | None", None, "None", None),
        ("str | None", None, "logs", "logs"), ("list[int]", [1], "1, 2,3", [1, 2, 3]),
        ("tuple[str, ...]", ("a",), "a,b", ("a", "b")),
    ):  # fmt: skip
        assert Parameter("x", type, default).convert(text) == value, type


def test_what_is_not_allowed_is_refused_by_name_and_value():
    for name, type, value in (
        ("x", "int", "1.5"), ("x", "int", True), ("x", "int", "none"), ("x", "float", "nan"), ("x", "bool", "maybe"),
        ("x", "bool", 2), ("x", "str", ""), ("x", "str", 5), ("x", "list[int]", "1,x"), ("videos", "int", "0"),
        ("videos", "int", 21), ("seed", "int", -1),
    ):  # fmt: skip
        with pytest.raises(UsageError) as error:
            Parameter(name, type, 1).convert(value)
        assert f"The parameter {name!r} takes {type}" in str(error.value) and repr(value) in str(error.value)
    with pytest.raises(UsageError, match=r"smoke, demo, full, paper.*Did you mean 'paper'"):
        Parameter("profile", "str", "demo").convert("papr")


def test_a_cell_that_is_none_is_refused():
    for source in (
        "x = 3", "x: int", "x: int = 1 + y", "x: object = 3", "x: int = 'a'", "videos: int = 0", "print(1)",
        "x: int = (", "x: __import__('os') = 3",
    ):  # fmt: skip
        with pytest.raises(UsageError, match=r"cell of 05\.ipynb"):
            read_parameters(source, where="the parameters cell of 05.ipynb")


def test_a_file_gives_the_text_that_was_written(tmp_path):
    file = tmp_path / "parameters.yaml"
    file.write_text("\ufeff# ours\nrate: 1e-3\nname: no\nlogs: ~\nempty:\nlist: [1, 02]\n", encoding="utf-8")
    values = {"rate": "1e-3", "name": "no", "logs": None, "empty": None, "list": ["1", "02"]}
    assert read_parameter_file(file) == values
    for content in (b"videos: {a: 1}", b"- 1", b"videos: [[1]]", b"a: b: c", b"x: \x00", b"\xff\xfe: 1"):
        file.write_bytes(content)
        with pytest.raises(UsageError, match=r"parameters\.yaml"):
            read_parameter_file(file)
