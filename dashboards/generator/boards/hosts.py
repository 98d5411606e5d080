"""Hosts and processes."""

from dashboards.generator.board import Board
from dashboards.generator.panels import graph, number
from dashboards.generator.queries import Query, rate, select

BY = "instance"
IDLE = select("system_cpu_utilization_ratio", 'cpu_mode="idle"')

BOARD = Board(
    "hosts",
    "Django: hosts",
    "Processor, memory, disks and network of each host, and the site's processes on it.",
    (
        (
            "Now",
            (
                number(
                    "Processor",
                    "The busiest host.",
                    f"1 - min (sum by ({BY}) ({IDLE}))",
                    unit="percentunit",
                    levels=(0.8, 0.9),
                    runbook="HighCpu",
                    width=6,
                ),
                number(
                    "Memory",
                    "The fullest host.",
                    "max ("
                    + select("system_memory_utilization_ratio", 'system_memory_state="used"')
                    + ")",
                    unit="percentunit",
                    levels=(0.85, 0.95),
                    runbook="HighMemory",
                    width=6,
                ),
                number(
                    "Disk",
                    "The fullest file system.",
                    f"max ({select('system_filesystem_utilization_ratio')})",
                    unit="percentunit",
                    levels=(0.9, 0.95),
                    runbook="DiskFull",
                    width=6,
                ),
                number(
                    "Load",
                    "Of one minute, the highest.",
                    f"max ({select('system_cpu_load_average_1m')})",
                    unit="none",
                    width=6,
                ),
            ),
        ),
        (
            "Hosts",
            (
                graph(
                    "Processor",
                    "The share of time that isn't idle.",
                    Query(
                        f"1 - sum by ({BY}) ({IDLE})",
                        "{{instance}}",
                    ),
                    unit="percentunit",
                    most=1,
                    levels=(0.8, 0.9),
                    runbook="HighCpu",
                ),
                graph(
                    "Memory",
                    "By what it is used for.",
                    Query(
                        f"sum by (system_memory_state) ({select('system_memory_usage_bytes')})",
                        "{{system_memory_state}}",
                    ),
                    unit="bytes",
                    stacked=True,
                    runbook="HighMemory",
                ),
                graph(
                    "Disk use",
                    "By file system.",
                    Query(
                        "max by (system_filesystem_mountpoint) "
                        f"({select('system_filesystem_utilization_ratio')})",
                        "{{system_filesystem_mountpoint}}",
                    ),
                    unit="percentunit",
                    most=1,
                    levels=(0.9, 0.95),
                    runbook="DiskFull",
                ),
                graph(
                    "Load",
                    "Of one, five and fifteen minutes.",
                    Query(f"max ({select('system_cpu_load_average_1m')})", "1 min"),
                    Query(f"max ({select('system_cpu_load_average_5m')})", "5 min"),
                    Query(f"max ({select('system_cpu_load_average_15m')})", "15 min"),
                    unit="none",
                ),
                graph(
                    "Disk traffic",
                    "Bytes a second.",
                    Query(
                        rate("system_disk_io_bytes_total", by="disk_io_direction"),
                        "{{disk_io_direction}}",
                    ),
                    unit="Bps",
                ),
                graph(
                    "Network traffic",
                    "Bytes a second.",
                    Query(
                        rate("system_network_io_bytes_total", by="network_io_direction"),
                        "{{network_io_direction}}",
                    ),
                    unit="Bps",
                ),
            ),
        ),
        (
            "Processes",
            (
                graph(
                    "Processor time",
                    "Seconds a second, by instance.",
                    Query(rate("process_cpu_time_seconds_total", by="instance"), "{{instance}}"),
                    unit="none",
                    stacked=True,
                ),
                graph(
                    "Memory",
                    "Resident memory of all processes, by instance.",
                    Query(
                        f"sum by (instance) ({select('process_memory_usage_bytes')})",
                        "{{instance}}",
                    ),
                    unit="bytes",
                    stacked=True,
                ),
                graph(
                    "Garbage collections",
                    "A second, by generation.",
                    Query(
                        rate("cpython_gc_collections_total", by="cpython_gc_generation"),
                        "{{cpython_gc_generation}}",
                    ),
                    unit="ops",
                ),
            ),
        ),
    ),
)
