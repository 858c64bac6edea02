"""Every exercise accepts right answers, and gives each mistake its diagnosis; whatever an answer does is a verdict."""

import warnings

import numpy as np
import pytest

import exercise_answers
import notebook_rules as rules
from helpers import exercises
from helpers.exercises import engine
from notebook_code import definitions

warnings.filterwarnings("ignore", module="keras")
RIGHT = [(name, answer) for name, answers in exercise_answers.RIGHT.items() for answer in answers]
RIGHT += [(name, asked.right) for name, asked in engine.EXERCISES.items() if asked.right]
SOLUTIONS = [
    (name, function)
    for path in (rules.ROOT / "notebooks" / "solutions").glob("*.ipynb")
    for name, function in definitions(f"solutions/{path.stem}").items()
    if f'exercises.check(\\"{name}\\"' in path.read_text(encoding="utf-8")
]
RIGHT += SOLUTIONS
WRONG = exercise_answers.WRONG
MISTAKES = [
    (name, text, mistake) for name, asked in engine.EXERCISES.items() for text, mistake in asked.mistakes.items()
]


@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda value: value if isinstance(value, str) else "")
def test_right_answers_are_accepted(name, answer):
    assert exercises.check(name, answer) == exercises.Verdict(name, "correct")


@pytest.mark.parametrize(
    ("name", "text", "mistake"), MISTAKES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_mistake_has_its_diagnosis(name, text, mistake):
    assert exercises.check(name, mistake) == exercises.Verdict(name, "not yet", text)


@pytest.mark.parametrize(("name", "beginning", "answer"), WRONG, ids=lambda v: v if isinstance(v, str) else "")
def test_wrong_answers_are_refused_with_a_reason(name, beginning, answer):
    verdict = exercises.check(name, answer)
    assert verdict.status == "not yet" and verdict.diagnosis.startswith(beginning), verdict


def test_every_exercise_is_asked_of_and_has_few_mistakes():
    assert {name for name, _ in RIGHT} | {"small_cnn"} == set(engine.EXERCISES)  # one is trained in the solutions
    assert all(len(asked.mistakes) <= 8 for asked in engine.EXERCISES.values())
    with pytest.raises(ValueError, match="exercise: got 'none', expected one of output_size"):
        exercises.check("none", 1)


@pytest.mark.parametrize("answer", [..., None])
def test_stubs_are_not_attempted(answer):
    def stub(n): ...

    def documented(n):
        """With words."""
        ...

    for one in (answer, stub, documented):
        assert repr(exercises.check("output_size", one)) == "Exercise output_size: not attempted yet"


def test_an_answer_that_does_not_end_is_interrupted(monkeypatch):
    def endless(n, k, s, p):
        while True:
            n += 1

    monkeypatch.setattr(engine.EXERCISES["output_size"], "seconds", 1)
    assert exercises.check("output_size", endless).diagnosis == "It is not done after 1 s: does every loop end?"


@pytest.fixture
def asked(monkeypatch):
    """An exercise of one array and two numbers, with a mistake in each."""
    monkeypatch.setattr(engine, "EXERCISES", {})

    def both(x):
        return x + 1, x.sum()

    return engine.Exercise(
        "both",
        right=both,
        draw=lambda rng: {"x": rng.normal(size=(2, 3)) + 2},
        mistakes={"One is missing.": lambda x: (x, x.sum()), "This is the mean.": lambda x: (x + 1, x.mean())},
        also=[("Of zeros:", {"x": np.zeros((1, 1))})],
    )


@pytest.mark.parametrize(
    ("answer", "diagnosis"),
    [
        (lambda x: (x, x.mean()), "One is missing. This is the mean."),
        (
            lambda x: (x - 9, x.mean()),
            "In value 1 of 2: For x of shape (2, 3) 100% of the values differ, first at [0, 0]",
        ),
        (lambda x: x[0], "For x of shape (2, 3) it returns an array of shape (3,), where 2 values are asked for."),
        (lambda x: (x[0] + 1, 0), "In value 1 of 2: For x of shape (2, 3) the result has shape (3,), where (2, 3)"),
        (lambda x: (x + np.nan, 0), "In value 1 of 2: For x of shape (2, 3) the result holds NaN"),
        (
            lambda x: (x + 1j, 0),
            "In value 1 of 2: For x of shape (2, 3) it returns an array of shape (2, 3) with complex",
        ),
        (lambda x: ("a", 0), "In value 1 of 2: For x of shape (2, 3) it returns 'a', where an array of real"),
        (lambda x: (x + 1, [1]), "In value 2 of 2: For x of shape (2, 3) it returns a list, where one number"),
        (
            lambda x: (x + 1, x.sum() if x.any() else 5),
            "Of zeros: In value 2 of 2: For x of shape (1, 1) you return 5,",
        ),
        (lambda x: object(), "For x of shape (2, 3) it returns a object, where 2 values"),
    ],
)
def test_the_general_messages(asked, answer, diagnosis):
    verdict = exercises.check("both", answer)
    assert verdict.status == "not yet" and verdict.diagnosis.startswith(diagnosis), verdict
    assert exercises.check("both", lambda x: [x + 1.0, np.float32(x.sum())]).status == "correct"
