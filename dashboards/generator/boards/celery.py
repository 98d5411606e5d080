"""Tasks, queues, workers and beat."""

from dashboards.generator.board import Board
from dashboards.generator.panels import SITE, graph, number, page, rows
from dashboards.generator.queries import (
    Query,
    increase,
    quantile,
    rate,
    ratio,
    select,
    share,
)
from dashboards.generator.shared import RANGE

RUNS = "celery_task_executions_total"
TIMES = "messaging_process_duration_seconds"
WAIT = "celery_task_queue_wait_seconds"
TASK = "celery_task_name"
QUEUE = "messaging_destination_name"
FAILED = 'celery_task_state="failure"'
# The classic metrics of these names have other labels: they are left out.
LENGTHS = select("celery_queue_length", f'{QUEUE}!=""')
WORKERS = select("celery_workers", 'celery_worker_state!=""')
ONLINE = 'celery_worker_state="online"'
HEARTBEAT = "celery_worker_last_heartbeat_seconds"

BOARD = Board(
    "celery",
    "Django: Celery",
    "Tasks by name, queues and their wait, workers, and what beat has missed.",
    (
        (
            "Now",
            (
                number("Tasks", "Tasks that ended, a second.", rate(RUNS), unit="ops"),
                number(
                    "Failed",
                    "The share of tasks that failed.",
                    ratio(rate(RUNS, FAILED), rate(RUNS)),
                    unit="percentunit",
                    levels=(0.05, 0.2),
                    runbook="JobFailureRate",
                ),
                number(
                    "Waiting",
                    "Messages in all queues.",
                    f"sum (max by ({QUEUE}) ({LENGTHS}))",
                    unit="none",
                    levels=(1000, 10000),
                    runbook="QueueBacklog",
                ),
                number(
                    "Wait, p95",
                    "From being sent until a worker begins: 19 of 20 tasks wait no longer.",
                    quantile(0.95, WAIT),
                    unit="s",
                    levels=(60, 600),
                    runbook="QueueWait",
                ),
                number(
                    "Workers",
                    "Workers that are alive.",
                    f"max ({select('celery_workers', ONLINE)})",
                    unit="none",
                    levels=(2, 1),
                    runbook="NoWorkers",
                ),
                number(
                    "Missed runs",
                    "Runs that beat has missed in the last hour.",
                    f"sum (increase({select('celery_beat_missed_runs_total')}[1h])) or vector(0)",
                    unit="none",
                    levels=(1, 3),
                    runbook="BeatMissedRun",
                    decimals=0,
                ),
            ),
        ),
        (
            "Tasks",
            (
                rows(
                    "Tasks in this range",
                    "One row a task; its name leads to its page.",
                    TASK,
                    {
                        "Runs": (
                            increase(RUNS, by=TASK, over=RANGE),
                            "none",
                        ),
                        "Failed": (
                            share(RUNS, FAILED, by=TASK, over=RANGE),
                            "percentunit",
                        ),
                        "p50": (quantile(0.5, TIMES, by=TASK, over=RANGE), "s"),
                        "p95": (quantile(0.95, TIMES, by=TASK, over=RANGE), "s"),
                        "Wait, p95": (quantile(0.95, WAIT, by=TASK, over=RANGE), "s"),
                    },
                    sort="Runs",
                    link=("Tasks", f"{SITE}/tasks/"),
                ),
                graph(
                    "Runs by end",
                    "Tasks a second, by how they ended.",
                    Query(rate(RUNS, by="celery_task_state"), "{{celery_task_state}}"),
                    unit="ops",
                    stacked=True,
                    links=[page("Tasks", "tasks/")],
                ),
                graph(
                    "Durations",
                    "The 95th percentile of the ten slowest tasks.",
                    Query(f"topk(10, {quantile(0.95, TIMES, by=TASK)})", f"{{{{{TASK}}}}}"),
                    unit="s",
                ),
                graph(
                    "Failures",
                    "Tasks a minute that fail, by name.",
                    Query(f"60 * {rate(RUNS, FAILED, by=TASK)}", f"{{{{{TASK}}}}}"),
                    unit="none",
                    runbook="JobFailureRate",
                ),
            ),
        ),
        (
            "Queues and workers",
            (
                graph(
                    "Queue length",
                    "Messages that wait, by queue.",
                    Query(f"max by ({QUEUE}) ({LENGTHS})", f"{{{{{QUEUE}}}}}"),
                    unit="none",
                    levels=(1000, 10000),
                    runbook="QueueBacklog",
                ),
                graph(
                    "Wait in the queue",
                    "The 95th percentile, by queue.",
                    Query(quantile(0.95, WAIT, by=QUEUE), f"{{{{{QUEUE}}}}}", exemplars=True),
                    unit="s",
                    levels=(60, 600),
                    runbook="QueueWait",
                ),
                graph(
                    "Workers",
                    "By state.",
                    Query(
                        f"max by (celery_worker_state) ({WORKERS})",
                        "{{celery_worker_state}}",
                    ),
                    unit="none",
                    runbook="NoWorkers",
                ),
                graph(
                    "Tasks at workers",
                    "Being run and reserved, by worker.",
                    Query(
                        "max by (celery_worker, celery_worker_task_state) "
                        f"({select('celery_worker_tasks')})",
                        "{{celery_worker}} {{celery_worker_task_state}}",
                    ),
                    unit="none",
                ),
                graph(
                    "Sent and consumed",
                    "Messages a second.",
                    Query(rate("messaging_client_sent_messages_total"), "sent"),
                    Query(rate("messaging_client_consumed_messages_total"), "consumed"),
                    unit="ops",
                ),
                graph(
                    "Last heartbeat",
                    "How long ago each worker was heard of.",
                    Query(
                        f"max by (celery_worker) ({select(HEARTBEAT)})",
                        "{{celery_worker}}",
                    ),
                    unit="s",
                    levels=(60, 120),
                ),
            ),
        ),
    ),
)
