import pytest

from dmlkit.errors import UsageError
from dmlkit.report import find_notebooks, notebooks_folder
from dmlkit.report.planning.parameters import check_names, read_parameters, values_for

CELL = """\
data: str = "../data/generated"  # folder of the data set
epochs: int = 12  # passes over the training part
rate: float = 0.003  # at the start; "#" is no comment here
study: bool = False
frames: list[int] = [10, 20]  # how many frames
names: tuple[str, ...] = ("lr", "lstm")  # which rungs
cap: int | None = None  # videos at most
"""
BOUNDED = """\
videos: int = 3  # videos that are drawn [1 to 20]
rate: float = 0.5  # a share [above 0,  at most 1.0]
loss: float = 2  # lower is better [at least 0]
cold: int = -3  # degrees [below 0]
sizes: list[int] = [10, 20]  # several [at least 1]
cap: int | None = None  # at most so many [above 0]
mood: str = "calm"  # how it looks [calm,  wild]
moods: tuple[str, ...] = ("calm",)  # list[str] is no bracket [calm, wild]
"""


def named(cell=CELL):
    return {parameter.name: parameter for parameter in read_parameters(cell)}


def test_names_types_defaults_and_help_are_read_in_the_order_of_the_cell():
    read = read_parameters(CELL)
    assert [parameter.name for parameter in read] == [
        "data",
        "epochs",
        "rate",
        "study",
        "frames",
        "names",
        "cap",
    ]
    assert [parameter.type for parameter in read[:4]] == ["str", "int", "float", "bool"]
    assert [parameter.default for parameter in read] == [
        "../data/generated", 12, 0.003, False, [10, 20], ("lr", "lstm"), None,
    ]  # fmt: skip
    assert read[0].help == "folder of the data set"
    assert read[2].help == 'at the start; "#" is no comment here'
    assert read[3].help == ""


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("data", "some/where", "some/where"),
        ("data", "12", "12"),
        ("epochs", "3", 3),
        ("rate", "1e-2", 0.01),
        ("study", "True", True),
        ("study", "no", False),
        ("frames", "5, 10,40", [5, 10, 40]),
        ("names", "lr", ("lr",)),
        ("cap", "none", None),
        ("cap", "7", 7),
    ],
)
def test_text_becomes_a_value_of_the_annotated_type(name, text, value):
    converted = named()[name].convert(text)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("epochs", 3, 3),
        ("rate", 1, 1.0),
        ("frames", (1, 2), [1, 2]),
        ("cap", None, None),
        ("study", True, True),
    ],
)
def test_typed_values_stay_what_they_are(name, given, value):
    assert named()[name].convert(given) == value


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("epochs", "ten"),
        ("epochs", "1.5"),
        ("epochs", 1.5),
        ("epochs", True),
        ("epochs", None),
        ("rate", "fast"),
        ("rate", "none"),
        ("study", "perhaps"),
        ("study", 1),
        ("data", 3),
        ("frames", "10,many"),
        ("frames", 10),
        ("cap", "1.5"),
    ],
)
def test_a_wrong_type_is_an_error_that_names_parameter_type_and_value(name, given):
    parameter = named()[name]
    with pytest.raises(UsageError) as error:
        parameter.convert(given)
    assert f"'{name}'" in str(error.value)
    assert parameter.type in str(error.value)
    assert repr(given) in str(error.value)


@pytest.mark.parametrize(
    ("name", "given", "received"),
    [("data", "", "nothing"), ("data", "  ", "nothing"), ("names", "lr,", "'lr,'")],
)
def test_text_is_not_empty(name, given, received):
    with pytest.raises(UsageError, match=f"'{name}' takes text.* Received: {received}."):
        named()[name].convert(given)


@pytest.mark.parametrize(
    "cell",
    [
        "epochs = 12",
        "import os",
        "epochs: int",
        "epochs: int = 3 * n",
        "epochs: int = 'three'",
        "x: dict = {}",
        "x: (",
    ],
)
def test_a_cell_of_another_form_is_an_error_that_says_where(cell):
    with pytest.raises(UsageError, match=r"05-attention\.ipynb"):
        read_parameters(cell, where="the parameters cell of 05-attention.ipynb")


def test_a_quoted_default_does_not_pass_for_a_number():
    with pytest.raises(UsageError, match="default of 'epochs'"):
        read_parameters('epochs: int = "12"')


def test_an_unknown_name_is_an_error_with_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'epochs'"):
        check_names(["epoch"], named())
    with pytest.raises(UsageError, match="none of their own"):
        check_names(["epochs"], [])
    check_names(["epochs", "rate"], named())


def test_a_notebook_is_given_only_what_it_has():
    values = values_for(read_parameters("seed: int = 0"), {"seed": "3", "epochs": "4"}, notebook="01-lr")
    assert values == {"seed": 3}
    with pytest.raises(UsageError, match="01-lr"):
        values_for(read_parameters("seed: int = 0"), {"seed": "x"}, notebook="01-lr")


def test_a_bracket_at_the_end_of_the_comment_is_no_help_but_says_what_is_allowed():
    bounded = named(BOUNDED)
    assert bounded["videos"].help == "videos that are drawn"
    assert bounded["moods"].help == "list[str] is no bracket"
    assert {name: str(parameter.allowed) for name, parameter in bounded.items()} == {
        "videos": "1 to 20",
        "rate": "above 0, at most 1",
        "loss": "at least 0",
        "cold": "below 0",
        "sizes": "at least 1",
        "cap": "above 0",
        "mood": "one of calm, wild",
        "moods": "one of calm, wild",
    }
    assert bounded["videos"].member_runs == "a whole number, 1 to 20"
    assert bounded["cap"].member_runs == "a whole number, above 0, or none"
    assert named()["epochs"].allowed is None


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("videos", "1"),
        ("videos", 20),
        ("rate", "1"),
        ("rate", 1e-9),
        ("loss", 0),
        ("cold", "-1"),
        ("sizes", "1,2"),
        ("sizes", []),
        ("cap", None),
        ("cap", "none"),
        ("cap", 1),
        ("mood", "wild"),
        ("moods", "wild, calm"),
    ],
)
def test_values_within_the_bounds_pass(name, given):
    named(BOUNDED)[name].convert(given)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("videos", "0", "a whole number, 1 to 20"),
        ("videos", 21, "1 to 20"),
        ("rate", "0", "above 0, at most 1"),
        ("rate", 1.1, "at most 1"),
        ("loss", "-1e-9", "at least 0"),
        ("loss", "nan", "a number"),
        ("loss", float("inf"), "a number"),
        ("cold", 0, "below 0"),
        ("sizes", "5,0,7", "at least 1"),
        ("sizes", [1, -1], "at least 1"),
        ("cap", "0", "above 0, or none"),
        ("mood", "wilt", "one of calm, wild (str). Received: 'wilt'. Did you mean 'wild'?"),
        ("mood", "", "one of calm, wild"),
        ("moods", "calm,Wild", "one of calm, wild, several parted by commas"),
    ],
)
def test_values_out_of_the_bounds_are_errors_that_say_them(name, given, says):
    with pytest.raises(UsageError) as error:
        named(BOUNDED)[name].convert(given)
    assert f"'{name}'" in str(error.value) and says in str(error.value) and repr(given) in str(error.value)


def test_infinity_and_nan_are_no_numbers_even_where_no_bound_is():
    for given in ("nan", "-inf", "1e999", float("nan"), float("inf")):
        with pytest.raises(UsageError, match="takes a number"):
            named()["rate"].convert(given)


@pytest.mark.parametrize(
    "line",
    [
        "n: int = 3  # [1]",
        "n: int = 3  # [1 to many]",
        "n: int = 3  # [1 to 2.5]",
        "n: int = 3  # [9 to 1]",
        "n: int = 3  # [at least 0, above 1]",
        "n: int = 3  # [at least 0, at least 1]",
        "n: int = 3  # []",
        "n: int = 3  # [at least]",
        "n: int = 3  # [1 to 20",
        "n: int = 3  # 1 to 20]",
        "n: int = 3  # [1 to 20] of them",
        "n: int = 3  # [1 to 20].",
        "n: int = 3  # [see there] and so on [1 to 20]",
        "n: float = 3  # [at least nan]",
        "n: float = 3  # [at most inf]",
        "n: bool = True  # [true, false]",
        "n: str = 'a'  # [a]",
        "n: str = 'a'  # [a, ]",
        "n: str = 'a'  # [a, b, a]",
        "n: int = 0  # [1 to 20]",
        "n: str = 'c'  # [a, b]",
        "n: list[int] = [1, 0]  # [at least 1]",
        "n: float = 1e999  # large",
        "n: int = 1  # once\nn: int = 2  # twice",
    ],
)
def test_a_malformed_bracket_or_a_default_out_of_it_is_an_error_of_the_notebook(line):
    with pytest.raises(UsageError, match=r"05-attention\.ipynb") as error:
        read_parameters(line, where="the parameters cell of 05-attention.ipynb")
    assert "'n'" in str(error.value)


# For a type, values that are none of it.
WRONG = {
    "int": ["many", "1.5", "", "none", "1,2", 1.5, True, None, [1], {}],
    "float": ["fast", "", "none", "nan", "inf", "1,2", True, None, [1.0], {}],
    "bool": ["perhaps", "", "none", "2", 1, 0.0, None, [True], {}],
    "str": [1, 1.0, True, None, ["text"], {}],
}
REAL = [
    pytest.param(parameter, id=f"{notebook.name}-{parameter.name}")
    for notebook in find_notebooks(notebooks_folder())
    for parameter in notebook.parameters
]


@pytest.mark.parametrize("parameter", REAL)
def test_no_parameter_of_the_walk_takes_a_value_of_another_type(parameter):
    kind = parameter.type.removesuffix(" | None")
    for given in WRONG[kind]:
        if parameter.type != kind and given in (None, "none"):
            continue
        with pytest.raises(UsageError) as error:
            parameter.convert(given)
        assert f"'{parameter.name}'" in str(error.value)
        assert repr(given) in str(error.value)
    assert parameter.convert(parameter.default) == parameter.default
    if kind != "str":
        assert parameter.convert(str(parameter.default)) == parameter.default


def test_no_text_is_a_value_only_where_it_is_the_default():
    (note, name) = read_parameters('note: str = ""  # to be shown\nname: str = "x"  # a name')
    assert note.convert("") == "" and note.convert("y") == "y"
    with pytest.raises(UsageError, match=r"'name' takes text.*nothing"):
        name.convert("")
