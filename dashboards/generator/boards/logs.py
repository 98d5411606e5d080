"""What the site says."""

from dashboards.generator.board import Board
from dashboards.generator.panels import log_counts, log_lines
from dashboards.generator.shared import LINES

BOARD = Board(
    "logs",
    "Django: logs",
    "Lines by level, errors, security events; each line leads to its trace.",
    (
        (
            "Lines",
            (
                log_counts(
                    "Lines by level",
                    "How many, in each step.",
                    f"sum by (severity_text) (count_over_time({LINES} [$__auto]))",
                    "{{severity_text}}",
                    width=12,
                ),
                log_counts(
                    "Events",
                    "The ten most frequent, in each step.",
                    f"topk(10, sum by (event_name) (count_over_time({LINES} "
                    '| event_name != "" [$__auto])))',
                    "{{event_name}}",
                    width=12,
                ),
            ),
        ),
        (
            "Errors",
            (
                log_lines(
                    "Errors",
                    "Lines of level error and above.",
                    f"{LINES} | severity_number >= 17",
                ),
            ),
        ),
        (
            "All",
            (
                log_lines(
                    "Security events",
                    "Failed logins, refused permissions, suspicious requests.",
                    f'{LINES} | event_name=~"security[.].+"',
                    width=12,
                ),
                log_lines("All lines", "Newest first.", LINES, width=12),
            ),
        ),
    ),
)
