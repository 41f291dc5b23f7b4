"""The Census-Income files become the arrays of the protocol, and no other file passes for them.

Small files of the same 42 columns stand in for the official ones, whose fingerprints are replaced; the tests at the end
read the official files where they lie beside the repository.
"""

import gzip
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import OneHotEncoder

from shared_bottom.tables import census_files, census_income
from shared_bottom.tables.census_files import fingerprint
from shared_bottom.tables.census_income import NUMERIC, VOCABULARIES, Census, load, synthetic
from spec import Dataset
from tests.helpers.census_files import (
    MONEY,
    OFFICIAL_FOLDER,
    TEST,
    TRAIN,
    Install,
    assert_fits_the_preset,
    assert_same,
    column,
    held_out,
    numeric,
    row,
    table,
)


class TestParsing:
    def test_the_arrays_fit_the_preset(self, install: Install) -> None:
        census = load(install())
        assert_fits_the_preset(census)
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


class TestRejectedFiles:
    @pytest.mark.parametrize("name", [TRAIN, TEST])
    def test_missing(self, install: Install, name: str) -> None:
        folder = install()
        (folder / f"{name}.gz").unlink()
        with pytest.raises(FileNotFoundError) as error:
            load(folder)
        assert f"{folder}: expected {name}.gz or {name}" in str(error.value)
        assert census_files.OFFICIAL[name] in str(error.value)

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
        assert census_files.OFFICIAL[name] in message
        assert fingerprint(content) in message


class TestSynthetic:
    def test_it_fits_the_preset_and_has_the_real_vocabularies(self) -> None:
        census = synthetic(4000)
        assert_fits_the_preset(census)
        assert (census.train.rows, census.validation.rows, census.test.rows) == (4000, 1000, 1000)
        assert census.vocabularies == VOCABULARIES
        assert np.asarray(census.train.categorical).max(axis=0).tolist() == [n - 1 for n in VOCABULARIES.values()]

    def test_the_seed_decides(self) -> None:
        assert_same(synthetic(50, seed=3), synthetic(50, seed=3))
        assert not np.array_equal(numeric(synthetic(50, seed=3).train), numeric(synthetic(50, seed=4).train))

    def test_one_row_will_do(self) -> None:
        census = synthetic(1)
        assert_fits_the_preset(census)
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


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Census:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHARED_BOTTOM_CACHE", str(tmp_path_factory.mktemp("official")))
        return load(OFFICIAL_FOLDER)


@pytest.mark.skipif(not OFFICIAL_FOLDER.is_dir(), reason=f"the official files are not in {OFFICIAL_FOLDER}")
class TestOfficialFiles:
    def test_rows_and_columns(self, census: Census) -> None:
        assert_fits_the_preset(census)
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
