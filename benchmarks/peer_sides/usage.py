"""CPU time and memory of a side's process."""

import resource


def used() -> dict[str, float]:
    """CPU-seconds of this process, and its peak memory in MB since it was started.

    `ru_maxrss` would include the memory of the process that started this one.
    """
    spent = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/status") as file:
        peak_kb = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    return {"cpu_s": spent.ru_utime + spent.ru_stime, "memory_mb": peak_kb / 1024}
