"""The measuring pass over all batches: on the devices of this machine or on a Ray cluster, each with a whole model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sanitizer.probe.devices import replicas
from sanitizer.probe.gradients.measure import Measurer
from sanitizer.scanner.engines.errors import EngineError
from sanitizer.ultra.library import DEFAULT_CFG, get_cfg
from sanitizer.ultra.model import is_detr
from sanitizer.ultra.probe_dataset import read_only_dataset
from sanitizer.ultra.silence import silent_ultralytics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sanitizer.dataset.tables import TaskSpec
    from sanitizer.probe.gradients.measured import Measured
    from sanitizer.ultra.samples import Sample

    Batch = tuple[int, Sequence[int]]

ACTOR_RESTARTS = 4
"""How often a lost actor (its process or node ended) is started again before the probe stops with an error."""


@dataclass(frozen=True, slots=True)
class MeasurerSettings:
    """Everything but the model and the device that a `Measurer` needs.

    Attributes:
        samples: The training images with their label rows.
        spec: Task, classes and keypoints.
        settings: Ultralytics train arguments.
    """

    samples: Sequence[Sample]
    spec: TaskSpec
    settings: Mapping[str, Any]

    def measurer(self, network: torch.nn.Module, device: torch.device) -> Measurer:
        """A measurer for this model on this device."""
        data: dict[str, Any] = {"names": dict(self.spec.names), "nc": self.spec.nc, "channels": 3}
        data["kpt_shape"] = list(self.spec.kpt_shape)
        hyp = get_cfg(DEFAULT_CFG, {**self.settings, "task": self.spec.task})
        dataset = read_only_dataset(
            is_detr(network),
            self.samples,
            data=data,
            task=self.spec.task,
            imgsz=self.settings["imgsz"],
            augment=False,
            hyp=hyp,
        )
        network.args = hyp  # type: ignore[assignment]
        amp = torch.float16 if device.type == "cuda" and self.settings.get("amp", True) else None
        return Measurer(network, dataset, device, amp)


def measure_here(
    settings: MeasurerSettings,
    network: torch.nn.Module,
    devices: Sequence[torch.device],
    batches: Sequence[Batch],
) -> Iterator[list[Measured]]:
    """Measure batches, as many at the same time as there are devices.

    Args:
        settings: For the measurers.
        network: The model after the warm-up.
        devices: Devices of this machine.
        batches: (number of the batch, indices of its samples).

    Yields:
        The measured images of each batch, batches in order.
    """
    measurers = [settings.measurer(copy, device) for copy, device in replicas(network, devices)]
    if len(measurers) == 1:
        for number, indices in batches:
            yield measurers[0].measure(indices, number)
        return
    from concurrent.futures import ThreadPoolExecutor

    # One thread per GPU is enough: kernels run outside the interpreter's lock.
    with ThreadPoolExecutor(len(measurers)) as pool:
        for k in range(0, len(batches), len(measurers)):
            group = batches[k : k + len(measurers)]
            numbers, indices_of_group = zip(*group, strict=True)
            yield from pool.map(Measurer.measure, measurers[: len(group)], indices_of_group, numbers)


def measure_on_ray(
    ray: Any, settings: MeasurerSettings, network: torch.nn.Module, batches: Sequence[Batch]
) -> Iterator[list[Measured]]:
    """Measure batches on the free GPUs of a connected Ray cluster, or on its cores if it has no free GPU.

    Arguments and results as for `measure_here`. An actor that is lost starts again and measures its batch again.

    Raises:
        EngineError: An actor was lost more than `ACTOR_RESTARTS` times.
    """
    from ray.util import ActorPool

    free = ray.available_resources()
    on_gpu = free.get("GPU", 0) >= 1
    count = max(1, min(int(free.get("GPU" if on_gpu else "CPU", 1)), len(batches)))
    actor = ray.remote(
        num_cpus=1, num_gpus=int(on_gpu), max_restarts=ACTOR_RESTARTS, max_task_retries=ACTOR_RESTARTS
    )(_Actor)
    settings_ref, network_ref = ray.put(settings), ray.put(network.cpu())
    actors = [actor.remote(settings_ref, network_ref) for _ in range(count)]
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
    """A measurer in a process of the Ray cluster, on the device that Ray gave to the process."""

    def __init__(self, settings: MeasurerSettings, network: torch.nn.Module) -> None:
        device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
        with silent_ultralytics():
            self._measurer = settings.measurer(network.to(device), device)

    def measure(self, number: int, indices: Sequence[int]) -> list[Measured]:
        with silent_ultralytics():
            return self._measurer.measure(indices, number)
