import pytest

from dmlkit.errors import UsageError
from dmlkit.report.parameters import check_names, read_parameters, values_for

CELL = """\
data: str = "../data/generated"  # folder of the data set
epochs: int = 12  # passes over the training part
rate: float = 0.003  # at the start; "#" is no comment here
study: bool = False
frames: list[int] = [10, 20]  # how many frames
names: tuple[str, ...] = ("lr", "lstm")  # which rungs
cap: int | None = None  # videos at most
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
