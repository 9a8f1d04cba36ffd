import os

import pytest

from dmlkit.errors import UsageError
from dmlkit.report.planning.parameter_file import read_parameter_file
from dmlkit.report.planning.parameters import read_parameters, values_for


@pytest.fixture
def write(tmp_path):
    def put(content):
        path = tmp_path / "params.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def test_names_values_and_lines_are_read(write):
    path = write("# what to draw\nvideos: 5\n\nframes: [10, 20]\nnames:\n  - lr\n  - lstm\ntitle: 'a: b'\n")
    given = read_parameter_file(path)
    assert given.values == {"videos": "5", "frames": ["10", "20"], "names": ["lr", "lstm"], "title": "a: b"}
    assert given.origins == {
        name: f"{path}, line {line}"
        for name, line in {"videos": 2, "frames": 4, "names": 5, "title": 8}.items()
    }


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing yet\n", "---\n", "{}", "~", b"\xef\xbb\xbf"])
def test_an_empty_file_gives_nothing(write, content):
    given = read_parameter_file(write(content))
    assert (given.values, given.origins) == ({}, {})


CELL = """\
rate: float = 0.5  # a number
study: bool = True  # a switch
title: str = "ladder"  # text
cap: int | None = 3  # a number or none
names: list[str] = []  # several
"""


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("rate: 1e-3", 0.001),
        ("rate: 012", 12.0),
        ("rate: 190:20", None),
        ("study: no", False),
        ("study: off", None),
        ("title: no", "no"),
        ("title: 2026-01-01", "2026-01-01"),
        ("title: 012", "012"),
        ("title: 1e-3", "1e-3"),
        ("title: ''", None),
        ("cap: ", "none"),
        ("cap: ~", "none"),
        ("cap: null", "none"),
        ("cap: 1_000", 1000),
        ("cap: 012", 12),
        ("cap: 0x1F", None),
        ("names: [yes, 1, 'x y']", ["yes", "1", "x y"]),
        ("names: lr, lstm", ["lr", "lstm"]),
        ("names: []", []),
        ("title: ~", None),
        ("rate: [1]", None),
        ("rate: .inf", None),
        ("names: [~]", None),
    ],
)
def test_a_value_is_what_the_parameter_s_type_makes_of_the_text_never_what_yaml_would(write, line, value):
    given = read_parameter_file(write(line)).values
    (name,) = given
    if value is None:
        with pytest.raises(UsageError, match=f"'{name}'"):
            values_for(read_parameters(CELL), given, notebook="01-lr")
    else:
        values = values_for(read_parameters(CELL), given, notebook="01-lr")
        assert values[name] == (None if value == "none" else value)
        assert type(values[name]) is type(None if value == "none" else value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("videos: 5\nvideos: 6\n", "line 2: 'videos' is given already, in {path}, line 1"),
        ("videos: 5\nframes: a: b\n", "line 2, column 10: 'frames: a: b'"),
        ("videos: [1, 2\n", "line 1, column 9: 'videos: [1, 2'"),
        ("videos: 'open\n", "found unexpected end of stream"),
        ("videos:\t5\n\tframes: 6\n", "line 1, column 8: 'videos:\\t5'"),
        ("a: 1\n---\nb: 2\n", "a single document"),
        ("a: *nowhere\n", "undefined alias"),
        ("a: 1\nb: \x07\n", "the character '\\x07' is not allowed, in line 2, column 4"),
        ("- videos\n- 5\n", "line 1: this is a list, not a mapping"),
        ("\nvideos=5\n", "line 2: this is a single value, not a mapping"),
        ("1: 5\n", "line 1: '1' is not the name of a parameter"),
        ("a: 1\nyes: 5\n", "line 2: 'yes' is not the name of a parameter"),
        ("~: 5\n", "line 1: '~' is not the name of a parameter"),
        ("? [a, b]\n: 5\n", "line 1: a list is not the name of a parameter"),
        ("a: &x {b: 1}\n<<: *x\n", "line 1: the value of 'a' is a mapping"),
        ("<<: {a: 1}\n", "line 1: '<<' is not the name"),
        ("videos:\n  least: 5\n", "line 2: the value of 'videos' is a mapping"),
        ("a: 1\nnames:\n- lr\n- [b]\n", "line 4: the value of 'names' is a list"),
        ("a: !!python/object/apply:os.system ['true']\n", "of the tag"),
        ("a: !mine 5\n", "line 1: the value of 'a' is of the tag !mine"),
        ("a: !!binary aGk=\n", "line 1: the value of 'a'"),
        ("[" * 5000, "not YAML"),
        (b"videos: \xff\xfe\n", "not UTF-8 text (byte 8)"),
        ("videos: 5".encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_an_error_of_one_line_that_says_where(write, content, says):
    path = write(content)
    with pytest.raises(UsageError) as error:
        read_parameter_file(path)
    told = str(error.value)
    assert str(path) in told
    assert says.format(path=path) in told
    assert "\n" not in told


def test_nothing_of_a_tag_is_ever_built(write, tmp_path):
    path = write(f"a: !!python/object/apply:os.mkdir ['{tmp_path / 'built'}']\n")
    with pytest.raises(UsageError):
        values_for(read_parameters(CELL), read_parameter_file(path).values, notebook="01-lr")
    assert not (tmp_path / "built").exists()


def test_a_file_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    for path in (tmp_path / "nowhere.yaml", tmp_path):
        with pytest.raises(UsageError, match="cannot be read") as error:
            read_parameter_file(path)
        assert os.fspath(path) in str(error.value)
