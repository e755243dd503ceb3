"""How busy the machine is that a training runs on, under the names that MLflow gives to system metrics."""

from __future__ import annotations

from importlib.util import find_spec

import psutil
import torch

PREFIX = "system/"  # MLflow shows what begins so on a page of its own
MEGABYTE = 1e6


def gauge() -> dict[str, float]:
    """Processors since the last call, memory, and GPUs: how busy they are where NVIDIA's bindings are installed."""
    memory = psutil.virtual_memory()
    found = {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / MEGABYTE,
        "system_memory_usage_percentage": memory.percent,
        "process_memory_megabytes": psutil.Process().memory_info().rss / MEGABYTE,
    }
    for number in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(number)
        found[f"gpu_{number}_memory_usage_megabytes"] = (total - free) / MEGABYTE
        found[f"gpu_{number}_memory_usage_percentage"] = 100 * (1 - free / total)
        if find_spec("pynvml"):
            found[f"gpu_{number}_utilization_percentage"] = torch.cuda.utilization(number)
    return {f"{PREFIX}{name}": value for name, value in found.items()}
