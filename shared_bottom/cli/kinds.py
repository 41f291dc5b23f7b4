"""Flags that choose a class by its kind, applied before all others are parsed."""

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any, Literal, get_args, get_origin

from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from spec.balancing import Balancing
from spec.files import Spec
from spec.losses import Loss
from spec.optimizers import Optimizer
from spec.sharing import WAYS
from spec.table import TableExperiment
from spec.training import EarlyStopping
from spec.validation import kinds_with

KINDS = ConstructorRegistry()
"""Has tyro show, for the field `kind`, not the chosen one alone but all that may be chosen."""


@KINDS.primitive_rule
def _all_kinds(asked: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[str] | None:
    """What tyro knows of a field whose type is one kind, such as Literal["adam"]; None for any other field."""
    unions = (WAYS, get_args(Loss), get_args(Optimizer), get_args(Balancing))
    listed = [[cls.kind for cls in union] for union in unions]
    values = {*get_args(asked.type)} if get_origin(asked.type) is Literal else set()
    kinds = next((kinds for kinds in listed if values and values < {*kinds}), None)
    if kinds is None:
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{{{','.join(kinds)}}}",
        instance_from_str=lambda words: words[0],
        is_instance=lambda value: value in kinds,
        str_from_instance=lambda value: [value],
    )


def with_kinds(experiment: TableExperiment, arguments: Sequence[str]) -> tuple[TableExperiment, list[str]]:
    """Apply the flags that choose the class of a field, such as --train.optimizer.kind or --model.tasks.0.loss.kind.

    experiment: the experiment in the file.
    arguments: the arguments of `fit`.

    Returns the experiment with the chosen classes, each with default values; and the arguments without the flags that
    were applied. Early stopping and the loss of a task, which a file may leave out, are there too if a flag of theirs
    is given or help is asked for. tyro would make such a choice a subcommand; if it is made beforehand, the fields of
    the chosen class are flags like all others. Whether all fits together is not checked: tyro makes each class anew,
    with the other flags. Raises ValueError if a kind is unknown, and for a field that only other kinds have.
    """
    remaining = [
        word for argument in arguments for word in (argument.split("=", 1) if ".kind=" in argument else [argument])
    ]
    help_asked = not {"-h", "--help"}.isdisjoint(remaining)

    def asked(flag: str) -> bool:
        return help_asked or any(word.replace("_", "-").startswith(f"{flag}.") for word in remaining)

    def chosen(flag: str, given: Any, classes: Iterable[Any]) -> Any:
        by_kind, kind = {cls.kind: cls for cls in classes}, taken(remaining, f"{flag}.kind")
        if kind is not None and kind not in by_kind:
            raise ValueError(f"{flag}.kind: expected one of {', '.join(by_kind)}, got {kind!r}")
        made = given if kind is None or (given is not None and given.kind == kind) else by_kind[kind]()
        for word in remaining:
            name = word.removeprefix(f"{flag}.").partition("=")[0].replace("-", "_")
            kinds = kinds_with(name, by_kind) if word.startswith(f"{flag}.") else []
            if kinds and made.kind not in kinds:
                belongs = f"it belongs to kind {' and '.join(kinds)}, which {flag}.kind chooses"
                raise ValueError(f"{word}: unexpected field of kind {made.kind}; {belongs}")
        return made

    model, train, tasks = experiment.model, experiment.train, []
    for number, task in enumerate(model.tasks):
        flag = f"--model.tasks.{number}.loss"
        loss = task.objective if asked(flag) else task.loss
        tasks.append(unchecked(task, loss=chosen(flag, loss, get_args(Loss))))
    stopping = EarlyStopping() if asked("--train.early-stopping") else None
    network = unchecked(model, tasks=tuple(tasks), sharing=chosen("--model.sharing", model.sharing, WAYS))
    training = unchecked(
        train,
        optimizer=chosen("--train.optimizer", train.optimizer, get_args(Optimizer)),
        balancing=chosen("--train.balancing", train.balancing, get_args(Balancing)),
        early_stopping=train.early_stopping or stopping,
    )
    return unchecked(experiment, model=network, train=training), remaining


def unchecked(spec: Spec, **fields: Any) -> Spec:
    """The spec with other values of some fields, which are not checked."""
    other = copy(spec)
    for name, value in fields.items():
        object.__setattr__(other, name, value)
    return other


def taken(arguments: list[str], flag: str) -> str | None:
    """The value of a flag, which is removed from the arguments with it; None if it is not among them."""
    if flag not in arguments[:-1]:
        return None
    place = arguments.index(flag)
    arguments.pop(place)
    return arguments.pop(place)
