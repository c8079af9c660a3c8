"""Who measures: the devices of this machine, each with the whole model, or actors on a Ray cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sanitizer.probe.devices import replicas
from sanitizer.probe.gradients.measure import Measured, Measurer
from sanitizer.scanner.engines.errors import EngineError
from sanitizer.ultra.library import DEFAULT_CFG, get_cfg
from sanitizer.ultra.probe_dataset import ReadOnlyDataset
from sanitizer.ultra.silence import silent_ultralytics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.ultra.samples import Sample

    Batch = tuple[int, Sequence[int]]

ACTOR_RESTARTS = 4
"""Times that an actor may be lost, with its process or its node, before the probe is given up."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a measurer must know besides the model: the samples, what they are judged as, and train arguments."""

    samples: Sequence[Sample]
    spec: TaskSpec
    settings: Mapping[str, Any]

    def measurer(self, network: torch.nn.Module, device: torch.device) -> Measurer:
        """A measurer of this model on a device."""
        data: dict[str, Any] = {"names": dict(self.spec.names), "nc": self.spec.nc, "channels": 3}
        data["kpt_shape"] = list(self.spec.kpt_shape)
        hyp = get_cfg(DEFAULT_CFG, {**self.settings, "task": self.spec.task})
        dataset = ReadOnlyDataset(
            self.samples, data=data, task=self.spec.task, imgsz=self.settings["imgsz"], augment=False, hyp=hyp
        )
        network.args = hyp  # type: ignore[assignment]
        amp = torch.float16 if device.type == "cuda" and self.settings.get("amp", True) else None
        return Measurer(network, dataset, device, amp)


def measure_here(
    setup: Setup, network: torch.nn.Module, devices: Sequence[torch.device], batches: Sequence[Batch]
) -> Iterator[list[Measured]]:
    """Measure numbered batches one after the other, on as many devices as there are."""
    measurers = [setup.measurer(copy, device) for copy, device in replicas(network, devices)]
    if len(measurers) == 1:
        for number, indices in batches:
            yield measurers[0].measure(indices, number)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(
        len(measurers)
    ) as pool:  # a thread a GPU: kernels run outside the interpreter's lock
        for k in range(0, len(batches), len(measurers)):
            group = batches[k : k + len(measurers)]
            numbers, indices_of_group = zip(*group, strict=True)
            yield from pool.map(Measurer.measure, measurers[: len(group)], indices_of_group, numbers)


def measure_on_ray(
    ray: Any, setup: Setup, network: torch.nn.Module, batches: Sequence[Batch]
) -> Iterator[list[Measured]]:
    """Measure numbered batches, in order, on the free GPUs of a connected cluster; on its cores where it has none.

    An actor that is lost is started again, and measures its batch again.

    Raises:
        EngineError: An actor is lost again and again.
    """
    from ray.util import ActorPool

    free = ray.available_resources()
    on_gpu = free.get("GPU", 0) >= 1
    count = max(1, min(int(free.get("GPU" if on_gpu else "CPU", 1)), len(batches)))
    actor = ray.remote(
        num_cpus=1, num_gpus=int(on_gpu), max_restarts=ACTOR_RESTARTS, max_task_retries=ACTOR_RESTARTS
    )(_Actor)
    setup_ref, network_ref = ray.put(setup), ray.put(network.cpu())
    actors = [actor.remote(setup_ref, network_ref) for _ in range(count)]
    pool: Any = ActorPool(actors)
    try:
        yield from pool.map(lambda one, batch: one.measure.remote(*batch), batches)
    except ray.exceptions.RayActorError as error:
        raise EngineError(
            f"an actor that measures images ended {ACTOR_RESTARTS + 1} times: see the logs of the Ray cluster"
        ) from error
    finally:
        for one in actors:
            ray.kill(one)


class _Actor:
    """A measurer on the device that Ray gave to this process."""

    def __init__(self, setup: Setup, network: torch.nn.Module) -> None:
        device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        with silent_ultralytics():
            self._measurer = setup.measurer(network.to(device), device)

    def measure(self, number: int, indices: Sequence[int]) -> list[Measured]:
        with silent_ultralytics():
            return self._measurer.measure(indices, number)
