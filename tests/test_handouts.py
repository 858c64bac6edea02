"""The handouts: every answer is computed, Keras agrees, and every reference leads somewhere."""

import ast
import operator
import re
from fractions import Fraction

import pytest

import notebook_rules as rules
from helpers import inspection

FOLDER = rules.ROOT / "notebooks" / "handouts"
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.md"))}
GLOSSARY, WORKSHEET = TEXTS["glossary.md"], TEXTS["worksheet.md"]
TABLE = re.findall(r"^\| (\w+) \| `(.+?)` \| (\S+) \|$", TEXTS["worksheet_answers.md"], re.MULTILINE)
ANSWERS = {question: answer for question, _, answer in TABLE}
OPERATORS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}


def arithmetic(node: ast.AST):
    """The exact value of an expression of numbers, which may be a tuple and may contain max()."""
    match node:
        case ast.Constant(value) if type(value) in (int, float):
            return Fraction(str(value))
        case ast.Tuple(parts):
            return tuple(map(arithmetic, parts))
        case ast.BinOp(left, sign, right) if type(sign) in OPERATORS:
            return OPERATORS[type(sign)](arithmetic(left), arithmetic(right))
        case ast.Call(ast.Name("max"), numbers, []):
            return max(map(arithmetic, numbers))
    raise ValueError(f"no arithmetic: {ast.unparse(node)}")


def number(answer: str):
    """An answer's number, or the tuple that 5×7 is."""
    sides = tuple(Fraction(side.replace(",", "")) for side in answer.split("×"))
    return sides if len(sides) > 1 else sides[0]


@pytest.mark.parametrize(("question", "calculation", "answer"), TABLE, ids=[row[0] for row in TABLE])
def test_calculation_gives_the_answer(question, calculation, answer):
    assert arithmetic(ast.parse(calculation, mode="eval").body) == number(answer)


@pytest.mark.parametrize("calculation", ["__import__('os')", "min(1, 2)", "'1'", "1 if 2 else 3", "True + 1"])
def test_only_arithmetic_is_calculated(calculation):
    with pytest.raises(ValueError, match="no arithmetic"):
        arithmetic(ast.parse(calculation, mode="eval").body)


def test_each_question_has_one_answer():
    asked = []
    for count, text in re.findall(r"^(\d+)\. (.+?)(?=^\d|^\[)", WORKSHEET, re.MULTILINE | re.DOTALL):
        parts = re.findall(r"\(([a-d])\)", text) or [""]
        assert len(re.findall("_{8,}", text)) == len(parts), f"question {count}: not one line for each answer"
        asked += [count + part for part in parts]
    assert asked == [row[0] for row in TABLE]
    assert TEXTS["worksheet_answers.md"].count("\n| ") == len(TABLE) + 2, "a row is not of the form that is read"
    assert int(asked[-1].rstrip("abcd")) == 20


def test_keras_agrees():
    from keras import Input, Sequential, layers

    conv = layers.Conv2D
    same, without = {"padding": "same"}, {"use_bias": False}
    cases = [  # shape of the input, layers, what to count for which question
        ((200 * 200,), lambda: [layers.Dense(500)], {"parameters": "1"}),
        ((32, 32, 3), lambda: [conv(4, 3)], {"parameters": "2d"}),
        ((7, 9, 1), lambda: [conv(1, 3)], {"shape": "4a"}),
        ((7, 9, 1), lambda: [conv(1, 3, 2)], {"shape": "4b"}),
        ((32, 32, 3), lambda: [conv(6, 5)], {"side": "5a", "units": "5b", "parameters": "5c", "connections": "5d"}),
        ((8, 8, 1), lambda: [conv(1, 3, 2, **same)], {"side": "6a"}),
        ((9, 9, 1), lambda: [conv(1, 3, dilation_rate=2)], {"side": "7b"}),
        ((14, 14, 6), lambda: [conv(16, 5, **without)], {"weights": "10a", "connections": "10b"}),
        ((400,), lambda: [layers.Dense(120, **without)], {"weights": "10c", "connections": "10d"}),
        ((227, 227, 3), lambda: [conv(96, 11, 4)], {"side": "12a", "units": "12b"}),
        ((9, 9, 64), lambda: [conv(64, 3, **without) for _ in range(3)], {"weights": "13b"}),
        ((28, 28, 192), lambda: [conv(16, 1), conv(32, 5, **same)], {"connections": "14b"}),
        ((7, 7, 1024), lambda: [layers.Flatten(), layers.Dense(1000)], {"weights": "15a"}),
        ((7, 7, 64), lambda: [layers.BatchNormalization()], {"trained": "16a"}),
        ((12, 12, 512), lambda: [conv(4096, 7)], {"parameters": "18a", "side": "18b"}),
        ((3, 3, 1), lambda: [layers.Conv2DTranspose(1, 3, 2)], {"side": "20"}),
    ]
    for shape, build, questions in cases:
        with inspection.shapes_only():  # no weight gets a value
            model = Sequential([Input(shape), *build()])
            sizes = inspection.layer_sizes(model)
            trained = sum(weight.shape[0] for weight in model.trainable_weights)
        last = sizes[-1].shape
        for what, question in questions.items():
            known = {"shape": last[:2], "side": last[0], "trained": trained}
            count = known[what] if what in known else getattr(sizes.total, what)
            assert count == number(ANSWERS[question]), f"question {question}: Keras has {what} {count}"


def test_glossary_and_links():
    lessons = {path.name[:2]: path for path in rules.course_notebooks() if path.parent.name == "notebooks"}
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| \[(\d\d)\](?: §([\d, ]+))? \|$", GLOSSARY, re.MULTILINE)
    terms = [term.casefold() for term, _, _ in rows]
    assert 60 <= len(terms) <= 75 and terms == sorted(terms) and {row[1] for row in rows} == set(lessons)
    for text in TEXTS.values():
        for link in re.findall(r"(?:\]\(|^\[\d\d\]: )([^)\s]+)", text, re.MULTILINE):
            assert (FOLDER / link).is_file(), link
        for lesson, sections in re.findall(r"\[(\d\d)\] §([\d, §]*\d)", text):
            cells = "\n".join(cell.source for cell in rules.read_notebook(lessons[lesson]).cells)
            for section in re.findall(r"\d+", sections):
                assert re.search(rf"^## {section} ", cells, re.MULTILINE), f"{lesson} has no section {section}"
