"""From a table to a trained network, in one call."""

from pathlib import Path

from shared_bottom.tables.paths import Name
from shared_bottom.tables.sources import Rows, source_of
from shared_bottom.trained import Trained, choose_backend
from spec.backend import OnEpoch, ProgressMode
from spec.table import TableExperiment
from spec.validation import check_class


def fit_table(
    experiment: TableExperiment,
    rows: Rows,
    *,
    backend: str | None = None,
    validation: Rows | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    keep: int = 3,
    resume: bool = False,
    threads: int | None = None,
    timeout: float = 300.0,
    progress: ProgressMode = "auto",
    on_epoch: OnEpoch | None = None,
    cache: Name | None = None,
    start_from: Trained | str | Path | None = None,
) -> Trained:
    """Learn the columns of a table and train the network of an experiment on its rows.

    experiment: the columns, the network and the training.
    rows: the training rows: files or a table in memory (see `shared_bottom.tables.sources.Rows`), whatever files the
    experiment names. The share `validation_fraction` of them is set aside for validation. Only the files of given
    embeddings are read besides, and their paths are relative to the working folder.
    backend: the backend that trains, such as "jax"; None: the first that is installed.
    validation: rows for validation, if not a share of `rows`.
    checkpoint, save_every, keep, resume, threads, timeout, progress, on_epoch: as for `spec.Backend.fit`.
    cache: as for `read_table`: a folder in which the encoded rows of files are kept, and read from; None: memory.
    start_from: a trained network, or the folder of a run, whose vocabularies, scales and parameters this run starts
    from, as far as they mean the same in it: see `shared_bottom.tables.inherited` and `shared_bottom.start`. The
    optimizer starts anew. A run that is resumed starts from the same.

    Nothing is written but checkpoints and the cache; `write_trained` saves the result. Raises ValueError, in one line,
    if the experiment or the rows have something wrong, ImportError if the backend's framework is not installed, and
    DivergenceError as `spec.Backend.fit` does.
    """
    from shared_bottom.folder import read_trained
    from shared_bottom.start import take_over
    from shared_bottom.tables.embeddings import given_values, starting_params
    from shared_bottom.tables.training import read_table

    check_class("experiment", experiment, TableExperiment, "read_table_experiment returns it")
    chosen, given = choose_backend(backend), given_values(experiment.data, Path())
    earlier = read_trained(start_from) if isinstance(start_from, str | Path) else start_from
    columns, training, validation_rows = read_table(
        experiment, source_of(rows), validation, given, cache=cache, earlier=earlier.columns if earlier else None
    )
    model = columns.model(experiment.model)
    params = starting_params(columns, model, experiment.train, Path())
    if earlier is not None:
        params = take_over(earlier, columns, model, params, given).params
    fitted = chosen.fit(
        model,
        experiment.train,
        training,
        validation_rows,
        params,
        checkpoint=checkpoint,
        save_every=save_every,
        keep=keep,
        resume=resume,
        threads=threads,
        timeout=timeout,
        progress=progress,
        on_epoch=on_epoch,
    )
    return Trained(
        columns=columns,
        model=model,
        params=fitted.params,
        backend=chosen.name,
        device=experiment.train.device,
        threads=threads,
        history=fitted.history,
    )
