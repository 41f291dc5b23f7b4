"""How the tasks share the network between its inputs and their heads.

Every way is made of levels of experts. An expert is a stack of layers of the widths `trunk`; a level has some for each
task and some that are shared. Where there are gates, what a task takes from a level is a sum of expert outputs that its
gate weighs, row by row:

    g = softmax(x·G)          one weight for each expert that the gate looks at; G has no bias
    y = Σ_e g_e·expert_e(x)

Without gates each task takes the output of the one expert that it has, or that all have.
"""

from typing import Annotated, ClassVar, Literal

from spec.classes import spec_class
from spec.validation import ByKind, Width


class SharingTraits:
    """What is known of a way of sharing, as far as a class does not say otherwise."""

    gated: ClassVar[bool] = False
    """Whether gates weigh the experts."""
    reserved: ClassVar[tuple[str, ...]] = ()
    """What no task may be called, since the parameters' names have another use for it."""

    @property
    def levels(self) -> int:
        """Levels of experts, one upon the other."""
        return 1

    @property
    def shared_experts(self) -> int:
        """Experts of all tasks together, in each level."""
        return 0

    @property
    def task_experts(self) -> int:
        """Experts of each task, in each level."""
        return 0

    def expert(self, level: int, task: str | None, number: int) -> str:
        """What the names of an expert's parameters begin with. task: whose it is; None if it is shared."""
        raise NotImplementedError

    def gate(self, level: int, task: str | None) -> str:
        """What the name of a gate's kernel begins with. task: whose it is; None for that of the shared experts."""
        raise NotImplementedError


@spec_class
class SharedBottom(SharingTraits):
    """One trunk for all tasks  (Caruana, "Multitask Learning", Machine Learning 28, 1997).

    GradNorm's last shared layer is the trunk's last.
    """

    kind: Literal["shared_bottom"] = "shared_bottom"

    @property
    def shared_experts(self) -> int:
        """The trunk."""
        return 1

    def expert(self, level: int, task: str | None, number: int) -> str:
        """See `SharingTraits`."""
        return "trunk"


@spec_class
class Separate(SharingTraits):
    """A trunk for each task, on embeddings that all tasks share: the baseline that shares as little as it can.

    GradNorm's last shared layer is the embedding tables, without which it has nothing to measure.
    """

    kind: Literal["separate"] = "separate"

    @property
    def task_experts(self) -> int:
        """The task's trunk."""
        return 1

    def expert(self, level: int, task: str | None, number: int) -> str:
        """See `SharingTraits`."""
        return f"tasks.{task}.trunk"


@spec_class
class MMoE(SharingTraits):
    """Multi-gate mixture of experts  (Ma et al., "Modeling Task Relationships in Multi-task Learning with Multi-gate
    Mixture-of-Experts", KDD 2018, eq. 6 to 8).

    All experts are shared, and each task has a gate of its own, which looks at all of them. GradNorm's last shared
    layer is the last layer of all experts.
    """

    kind: Literal["mmoe"] = "mmoe"
    experts: Width = 8
    """Number of experts."""
    gated: ClassVar[bool] = True

    @property
    def shared_experts(self) -> int:
        """All."""
        return self.experts

    def expert(self, level: int, task: str | None, number: int) -> str:
        """See `SharingTraits`."""
        return f"experts.{number}"

    def gate(self, level: int, task: str | None) -> str:
        """See `SharingTraits`."""
        return f"gates.{task}"


@spec_class
class PLE(SharingTraits):
    """Progressive layered extraction  (Tang et al., "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning
    Model for Personalized Recommendations", RecSys 2020, eq. 1 to 7). With one level it is their CGC.

    A task's gate looks at the task's experts, then at the shared ones. In all levels but the last there is a shared
    gate besides, which looks at each task's experts in order, then at the shared ones. From the second level on, a
    task's experts and its gate take what its gate gave in the level before, and the shared experts and their gate what
    the shared gate gave. GradNorm's last shared layer is the last layer of the last level's shared experts.
    """

    kind: Literal["ple"] = "ple"
    shared_experts: Width = 2
    """Experts of all tasks together, in each level."""
    task_experts: Width = 2
    """Experts of each task, in each level."""
    levels: Width = 1
    """Levels of experts, one upon the other."""
    gated: ClassVar[bool] = True
    reserved: ClassVar[tuple[str, ...]] = ("shared", "gates")

    def expert(self, level: int, task: str | None, number: int) -> str:
        """See `SharingTraits`."""
        return f"levels.{level}.{task or 'shared'}.{number}"

    def gate(self, level: int, task: str | None) -> str:
        """See `SharingTraits`."""
        return f"levels.{level}.gates.{task or 'shared'}"


WAYS: tuple[type[SharedBottom | Separate | MMoE | PLE], ...] = (SharedBottom, Separate, MMoE, PLE)
Sharing = Annotated[SharedBottom | Separate | MMoE | PLE, ByKind()]
"""A way of sharing, or its kind alone."""
