"""The Census-Income files become the arrays of the protocol, and no other file passes for them.

Small files of the same 42 columns stand in for the official ones, whose fingerprints are replaced; the tests at the end
read the official files where they lie beside the repository.
"""

import gzip
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import csv
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from datasets import census_income
from datasets.census_income import COLUMNS, NUMERIC, VOCABULARIES, Census, fingerprint, load, synthetic
from spec import Dataset, presets

TRAIN, TEST = census_income.OFFICIAL
OFFICIAL_FOLDER = Path(__file__).parents[2] / "shared" / "data" / "census-income"
MONEY = ("wage_per_hour", "capital_gains", "capital_losses", "dividends_from_stocks")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SHARED_BOTTOM_CACHE", str(folder))
    return folder


def row(index: int, **values: str | float) -> str:
    """A line as the files have them: a blank after each comma, the label with a full stop."""
    filled: dict[str, Any] = {name: index + column for column, name in enumerate(NUMERIC)}
    filled |= {name: f"{name} {index % 2}" for name in VOCABULARIES}
    filled |= {"education": "Children", "marital_status": "Divorced", "instance_weight": 1700.09, "income": "- 50000."}
    return ", ".join(str((filled | values)[name]) for name in COLUMNS) + "\n"


def table(rows: int, **values: str | float) -> str:
    return "".join(row(index, **values) for index in range(rows))


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Writes the two texts as files, and makes them the official ones."""

    def write(train: str | None = None, test: str | None = None, *, zipped: bool = True) -> Path:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        for name, text in {TRAIN: train or table(6), TEST: test or table(9)}.items():
            content = text.encode()
            monkeypatch.setitem(census_income.OFFICIAL, name, fingerprint(content))
            path = folder / (f"{name}.gz" if zipped else name)
            path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
        return folder

    return write


def column(data: Dataset, name: str) -> list[int]:
    assert data.categorical is not None
    return data.categorical[:, list(VOCABULARIES).index(name)].tolist()


def numeric(data: Dataset) -> np.ndarray:
    assert data.numeric is not None
    return data.numeric


def held_out(census: Census) -> Dataset:
    """Both halves, the rows in the order of their first number."""
    halves = (census.validation, census.test)
    joined = Dataset(
        numeric=np.concatenate([numeric(half) for half in halves]),
        categorical=np.concatenate([np.asarray(half.categorical) for half in halves]),
        labels={task: np.concatenate([half.labels[task] for half in halves]) for task in census_income.TASKS},
    )
    return joined.take(np.argsort(numeric(joined)[:, 0]))


def assert_same(one: Census, other: Census) -> None:
    assert one.vocabularies == other.vocabularies
    for part in ("train", "validation", "test"):
        a, b = getattr(one, part), getattr(other, part)
        np.testing.assert_array_equal(a.numeric, b.numeric)
        np.testing.assert_array_equal(a.categorical, b.categorical)
        assert a.labels.keys() == b.labels.keys()
        for task in a.labels:
            np.testing.assert_array_equal(a.labels[task], b.labels[task])


def fits_the_preset(census: Census) -> None:
    model = presets.census_model(census.vocabularies)
    for data in (census.train, census.validation, census.test):
        data.check(model)
        assert numeric(data).dtype == np.float32
        assert np.asarray(data.categorical).dtype == np.int32
        assert {label.dtype for label in data.labels.values()} == {np.dtype(np.float32)}
        assert data.sample_weight is None


class TestParsing:
    def test_the_arrays_fit_the_preset(self, install: Install) -> None:
        census = load(install())
        fits_the_preset(census)
        assert (census.train.rows, census.validation.rows, census.test.rows) == (6, 4, 5)
        assert list(census.vocabularies) == list(VOCABULARIES)
        assert set(census.vocabularies.values()) == {3}

    def test_money_is_logarithmic_and_all_numbers_are_standardised_by_the_training_file(self, install: Install) -> None:
        census = load(install(table(6), table(9)))

        def numbers(rows: int) -> np.ndarray:
            raw = np.array([[index + column for column in range(len(NUMERIC))] for index in range(rows)], dtype=float)
            money = [name in MONEY for name in NUMERIC]
            return np.where(money, np.log1p(raw), raw)

        mean, std = numbers(6).mean(axis=0), numbers(6).std(axis=0)
        np.testing.assert_allclose(numeric(census.train), (numbers(6) - mean) / std, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(numeric(held_out(census)), (numbers(9) - mean) / std, rtol=1e-6, atol=1e-6)

    def test_ids_are_those_of_the_sorted_values_and_0_is_a_value_the_training_file_lacks(
        self, install: Install
    ) -> None:
        train = row(0, race="White") + row(1, race="Black") + row(2, race="White")
        test = row(0, race="Other") + row(1, race="Black") + row(2, race="White")
        census = load(install(train, test))
        assert column(census.train, "race") == [2, 1, 2]
        assert column(held_out(census), "race") == [0, 1, 2]
        assert census.vocabularies["race"] == 3

    def test_a_question_mark_and_na_are_values_and_blanks_around_a_value_are_not(self, install: Install) -> None:
        values = ["?", "NA", "All other", "All other "]
        census = load(install("".join(row(i, hispanic_origin=value) for i, value in enumerate(values))))
        assert column(census.train, "hispanic_origin") == [1, 3, 2, 2]
        assert census.vocabularies["hispanic_origin"] == 4

    def test_labels(self, install: Install) -> None:
        train = row(0) + row(1, income="50000+.") + row(2, marital_status="Never married")
        census = load(install(train))
        assert census.train.labels["income"].tolist() == [0, 1, 0]
        assert census.train.labels["never_married"].tolist() == [0, 0, 1]

    def test_what_the_protocol_forbids_is_no_input(self, install: Install) -> None:
        one = load(install())
        changed = {"education": "9th grade", "marital_status": "Widowed", "income": "50000+.", "instance_weight": 3}
        other = load(install(table(6, **changed), table(9, **changed)))
        for part in ("train", "validation", "test"):
            a, b = getattr(one, part), getattr(other, part)
            np.testing.assert_array_equal(a.numeric, b.numeric)
            np.testing.assert_array_equal(a.categorical, b.categorical)

    def test_files_may_be_unzipped(self, install: Install) -> None:
        zipped = load(install())
        for path in install().iterdir():
            path.unlink()
        assert_same(load(install(zipped=False)), zipped)


class TestHalving:
    def test_the_halves_are_the_test_file(self, install: Install) -> None:
        census = load(install(test=table(101)))
        assert (census.validation.rows, census.test.rows) == (50, 51)
        assert len(np.unique(numeric(held_out(census))[:, 0])) == 101

    def test_the_seed_decides_who_goes_where(self, install: Install) -> None:
        folder = install(test=table(101))
        assert_same(load(folder, seed=7), load(folder, seed=7))
        one, other = load(folder, seed=7), load(folder, seed=8)
        np.testing.assert_array_equal(numeric(one.train), numeric(other.train))
        assert set(numeric(one.test)[:, 0]) != set(numeric(other.test)[:, 0])


@pytest.fixture
def no_parsing(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def forbid() -> None:
        def read_csv(*_: Any, **__: Any) -> None:
            raise AssertionError("a file was parsed")

        monkeypatch.setattr(csv, "read_csv", read_csv)

    return forbid


class TestCache:
    def test_the_second_load_parses_nothing(self, install: Install, no_parsing: Callable[[], None]) -> None:
        folder = install()
        first = load(folder)
        no_parsing()
        assert_same(load(folder), first)

    def test_it_holds_one_file_and_no_leftovers(self, install: Install, cache: Path) -> None:
        load(install())
        assert len(list(cache.iterdir())) == 1

    def test_other_files_are_parsed(self, install: Install) -> None:
        load(install())
        assert load(install(table(7))).train.rows == 7

    def test_another_parser_parses_again(
        self, install: Install, no_parsing: Callable[[], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = install()
        load(folder)
        monkeypatch.setattr(census_income, "PARSER_VERSION", census_income.PARSER_VERSION + 1)
        no_parsing()
        with pytest.raises(AssertionError, match="parsed"):
            load(folder)

    @pytest.mark.parametrize(
        "damage",
        [
            lambda content: b"",
            lambda content: content[:-1],
            lambda content: content[: len(content) // 2],
            lambda content: content[:500] + bytes([content[500] ^ 1]) + content[501:],
            lambda content: b"x" * len(content),
        ],
        ids=["empty", "last byte missing", "half missing", "one bit flipped", "something else"],
    )
    def test_a_damaged_one_is_reported_and_replaced(
        self, install: Install, cache: Path, no_parsing: Callable[[], None], damage: Callable[[bytes], bytes]
    ) -> None:
        folder = install()
        first = load(folder)
        (stored,) = cache.iterdir()
        stored.write_bytes(damage(stored.read_bytes()))
        with pytest.warns(UserWarning, match=r"census-income-.*damaged.*parsing again"):
            assert_same(load(folder), first)
        no_parsing()
        assert_same(load(folder), first)


class TestRejectedFiles:
    @pytest.mark.parametrize("name", [TRAIN, TEST])
    def test_missing(self, install: Install, name: str) -> None:
        folder = install()
        (folder / f"{name}.gz").unlink()
        with pytest.raises(FileNotFoundError) as error:
            load(folder)
        assert f"{folder}: expected {name}.gz or {name}" in str(error.value)
        assert census_income.OFFICIAL[name] in str(error.value)

    @pytest.mark.parametrize("name", [TRAIN, TEST])
    @pytest.mark.parametrize("size", [0, 1, 100])
    def test_text_cut_off(self, install: Install, name: str, size: int) -> None:
        path = install(zipped=False) / name
        content = path.read_bytes()[:size]
        path.write_bytes(content)
        self.names_what_was_found(path, name, content)

    @pytest.mark.parametrize("name", [TRAIN, TEST])
    @pytest.mark.parametrize("size", [0, 1, 5, 100, -9, -8, -1])
    def test_gzip_cut_off(self, install: Install, name: str, size: int) -> None:
        path = install() / f"{name}.gz"
        content = path.read_bytes()[:size]
        path.write_bytes(content)
        self.names_what_was_found(path, name, content)

    @pytest.mark.parametrize("place", [0, 2, 50, 200, -6, -1])
    def test_gzip_with_a_byte_altered(self, install: Install, place: int) -> None:
        path = install() / f"{TRAIN}.gz"
        content = bytearray(path.read_bytes())
        content[place] ^= 0xFF
        path.write_bytes(content)
        self.names_what_was_found(path, TRAIN, bytes(content))

    def test_text_altered(self, install: Install) -> None:
        path = install(zipped=False) / TRAIN
        content = path.read_bytes().replace(b"Divorced", b"Widowed.", 1)
        path.write_bytes(content)
        self.names_what_was_found(path, TRAIN, content)

    def test_text_altered_and_gzipped_well(self, install: Install) -> None:
        path = install() / f"{TEST}.gz"
        content = table(10).encode()
        path.write_bytes(gzip.compress(content))
        self.names_what_was_found(path, TEST, content)

    def test_altered_after_it_was_cached(self, install: Install) -> None:
        folder = install()
        load(folder)
        path = folder / f"{TRAIN}.gz"
        content = path.read_bytes()[:-1]
        path.write_bytes(content)
        self.names_what_was_found(path, TRAIN, content)

    @staticmethod
    def names_what_was_found(path: Path, name: str, content: bytes) -> None:
        with pytest.raises(ValueError, match="expected a text of") as error:
            load(path.parent)
        message = str(error.value)
        assert message.startswith(f"{path}: ")
        assert census_income.OFFICIAL[name] in message
        assert fingerprint(content) in message


class Server(ThreadingHTTPServer):
    """Serves `files` by name, and counts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.missing_bytes = 0
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.rsplit("/", 1)[-1]
        self.server.requests.append(name)
        if name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.server.missing_bytes))
        for header, value in self.server.headers.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "127.0.0.1")
    with Server() as server:
        monkeypatch.setattr(census_income, "URL", f"http://127.0.0.1:{server.server_port}/census-income-mld/")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class TestDownload:
    @pytest.fixture
    def folder(self, install: Install, server: Server) -> Path:
        """What the server has."""
        folder = install()
        server.files = {path.name: path.read_bytes() for path in folder.iterdir()}
        return folder

    def test_once(self, folder: Path, server: Server, cache: Path) -> None:
        first = load()
        assert_same(first, load(folder))
        assert server.requests == [f"{TRAIN}.gz", f"{TEST}.gz"]
        assert_same(load(), first)
        assert len(server.requests) == 2
        assert {f"{TRAIN}.gz", f"{TEST}.gz"} < {path.name for path in cache.iterdir()}

    def test_gzip_declared_as_an_encoding(self, folder: Path, server: Server) -> None:
        server.headers["Content-Encoding"] = "gzip"
        assert_same(load(), load(folder))

    def test_a_wrong_file_is_not_kept(self, folder: Path, server: Server, cache: Path) -> None:
        right = server.files[f"{TEST}.gz"]
        wrong = table(10).encode()
        server.files[f"{TEST}.gz"] = gzip.compress(wrong)
        with pytest.raises(ValueError, match="expected a text of") as error:
            load()
        assert str(cache / f"{TEST}.gz") in str(error.value)
        assert fingerprint(wrong) in str(error.value)
        server.files[f"{TEST}.gz"] = right
        assert_same(load(), load(folder))

    def test_a_download_cut_off_is_not_kept(self, folder: Path, server: Server, cache: Path) -> None:
        server.missing_bytes = 10
        with pytest.raises(OSError, match=rf"{TRAIN}.gz: expected a file to download"):
            load()
        assert list(cache.iterdir()) == []
        server.missing_bytes = 0
        assert_same(load(), load(folder))

    def test_a_file_the_server_lacks(self, folder: Path, server: Server) -> None:
        del server.files[f"{TEST}.gz"]
        with pytest.raises(OSError, match=rf"http://127\.0\.0\.1:.*/{TEST}\.gz: expected a file to download.*404"):
            load()

    def test_no_server(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(census_income, "URL", "http://127.0.0.1:1/")
        with pytest.raises(OSError, match=rf"http://127\.0\.0\.1:1/{TRAIN}\.gz: expected a file to download.*refused"):
            load()


class TestSynthetic:
    def test_it_fits_the_preset_and_has_the_real_vocabularies(self) -> None:
        census = synthetic(4000)
        fits_the_preset(census)
        assert (census.train.rows, census.validation.rows, census.test.rows) == (4000, 1000, 1000)
        assert census.vocabularies == VOCABULARIES
        assert np.asarray(census.train.categorical).max(axis=0).tolist() == [n - 1 for n in VOCABULARIES.values()]

    def test_the_seed_decides(self) -> None:
        assert_same(synthetic(50, seed=3), synthetic(50, seed=3))
        assert not np.array_equal(numeric(synthetic(50, seed=3).train), numeric(synthetic(50, seed=4).train))

    def test_one_row_will_do(self) -> None:
        census = synthetic(1)
        fits_the_preset(census)
        assert (census.train.rows, census.validation.rows, census.test.rows) == (1, 1, 1)

    @pytest.mark.parametrize("rows", [0, -1])
    def test_no_rows(self, rows: int) -> None:
        with pytest.raises(ValueError, match=f"rows: expected 1 or more, got {rows}"):
            synthetic(rows)

    @pytest.mark.parametrize(("task", "share"), census_income.POSITIVE.items())
    def test_labels_are_as_frequent_as_the_real_ones_and_can_be_learnt(self, task: str, share: float) -> None:
        census = synthetic(20_000)
        assert census.train.labels[task].mean() == pytest.approx(share, abs=0.01)
        encoder = OneHotEncoder(sparse_output=False).fit(np.asarray(census.train.categorical))

        def inputs(data: Dataset) -> np.ndarray:
            return np.hstack([numeric(data), encoder.transform(data.categorical)])

        classifier = LogisticRegression(C=0.1, max_iter=1000).fit(inputs(census.train), census.train.labels[task])
        score = classifier.decision_function(inputs(census.test))
        assert roc_auc_score(census.test.labels[task], score) > 0.85


def test_the_cache_is_the_users_unless_the_environment_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    assert census_income.cache_folder() == cache
    monkeypatch.delenv("SHARED_BOTTOM_CACHE")
    assert "shared-bottom" in census_income.cache_folder().parts


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Census:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARED_BOTTOM_CACHE", str(tmp_path_factory.mktemp("official")))
        return load(OFFICIAL_FOLDER)


@pytest.mark.skipif(not OFFICIAL_FOLDER.is_dir(), reason=f"the official files are not in {OFFICIAL_FOLDER}")
class TestOfficialFiles:
    def test_rows_and_columns(self, census: Census) -> None:
        fits_the_preset(census)
        assert (census.train.rows, census.validation.rows, census.test.rows) == (199_523, 49_881, 49_881)
        assert numeric(census.train).shape[1] == 7
        assert np.asarray(census.train.categorical).shape[1] == 31

    def test_vocabularies(self, census: Census) -> None:
        assert census.vocabularies == VOCABULARIES
        assert list(census.vocabularies) == list(VOCABULARIES)
        ids = np.asarray(census.train.categorical)
        assert ids.min(axis=0).tolist() == [1] * 31
        assert ids.max(axis=0).tolist() == [size - 1 for size in VOCABULARIES.values()]

    def test_labels(self, census: Census) -> None:
        assert int(census.train.labels["income"].sum()) == 12_382
        assert sum(int(data.labels["income"].sum()) for data in (census.validation, census.test)) == 6_186
        for task, share in census_income.POSITIVE.items():
            for data in (census.train, census.validation, census.test):
                assert data.labels[task].mean() == pytest.approx(share, abs=0.004)

    def test_numbers(self, census: Census) -> None:
        numbers = numeric(census.train).astype(np.float64)
        np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
        np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-6)
        assert np.abs(numeric(census.validation).mean(axis=0, dtype=np.float64)).max() < 0.02
