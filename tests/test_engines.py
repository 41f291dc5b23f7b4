"""Who is who among processes that were started together, as the environment says."""

import pytest

from backends.engines import ENGINES, JAX_DISTRIBUTED, TORCHRUN, is_first, place_of, started
from backends.parts import Joined
from shared_bottom.run.join import joined


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for engine in ENGINES:
        for name in (*engine.counts, engine.rank):
            monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_variables_a_process_is_alone():
    assert [started(engine) for engine in ENGINES] == [1, 1]
    assert is_first()


@pytest.mark.parametrize("rank", [0, 2])
def test_our_own_variables_are_understood_by_every_engine(monkeypatch, rank):
    set_all(monkeypatch, place_of(rank, 3, "127.0.0.1:4000"))
    assert [started(engine) for engine in ENGINES] == [3, 3]
    assert is_first() == (rank == 0)


@pytest.mark.parametrize("name", JAX_DISTRIBUTED.counts)
def test_a_cluster_says_how_many_processes_jax_has(monkeypatch, name):
    monkeypatch.setenv(name, "4")
    assert (started(JAX_DISTRIBUTED), started(TORCHRUN)) == (4, 1)


@pytest.mark.parametrize("name", JAX_DISTRIBUTED.counts[1:])
def test_tasks_of_a_cluster_may_train_alone(monkeypatch, name):
    set_all(monkeypatch, {name: "8", JAX_DISTRIBUTED.counts[0]: "1"})
    assert started(JAX_DISTRIBUTED) == 1


class Alone:
    """A backend that joins no others."""

    name = "alone"

    def join(self, timeout, threads):
        return Joined()


@pytest.mark.parametrize("name", [engine.counts[0] for engine in ENGINES])
def test_a_backend_that_joins_no_others_is_refused_where_an_engine_has_started_some(monkeypatch, name):
    monkeypatch.setenv(name, "2")
    expected = f"^{name}: expected one process, because backend 'alone' does not join those of this engine, got 2$"
    with pytest.raises(ValueError, match=expected), joined(Alone(), 1.0, None):
        pass


def test_it_trains_where_the_environment_says_so(monkeypatch):
    set_all(monkeypatch, {TORCHRUN.counts[0]: "2", JAX_DISTRIBUTED.counts[0]: "1"})
    with joined(Alone(), 1.0, None) as processes:
        assert processes.size == 1


def test_one_of_one_is_the_first(monkeypatch):
    set_all(monkeypatch, {"WORLD_SIZE": "1", "RANK": "0", "JAX_NUM_PROCESSES": "1"})
    assert is_first()


@pytest.mark.parametrize("text", ["two", "-1", "2.0", ""])
def test_what_is_no_number_is_refused_by_name(monkeypatch, text):
    monkeypatch.setenv("WORLD_SIZE", text)
    assert is_first()
    with pytest.raises(ValueError, match=r"^WORLD_SIZE: expected a number, as a variable of the environment, got "):
        started(TORCHRUN)
