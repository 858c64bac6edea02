"""Whole notebooks again: `pytest -m slow` runs those that train with other seeds, on one core, and without oneDNN."""

import pytest

import refresh
from notebook_code import execute

TRAINING = ("02_building_cnns_with_keras", "03_preprocessing_and_augmentation", "04_milestone_architectures")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("name", TRAINING)
def test_claims_hold_with_other_seeds(name, seed):
    execute(name, SEED=seed)


@pytest.mark.slow
@pytest.mark.parametrize("variables", [{"TF_ENABLE_ONEDNN_OPTS": "0"}, {"TF_NUM_INTRAOP_THREADS": "1"}], ids=str)
@pytest.mark.parametrize("name", TRAINING)
def test_claims_hold_without_onednn_and_on_one_core(name, variables, monkeypatch):
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    execute(name)


def test_another_value_reaches_the_notebook():
    with pytest.raises(refresh.RefreshError, match="no such set"):
        execute(TRAINING[0], DATASET="no such set")
    with pytest.raises(ValueError, match="SEEDS: got a name"):
        execute(TRAINING[0], SEEDS=1)
