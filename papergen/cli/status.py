"""`papergen status`."""

from __future__ import annotations

import click


@click.command("status")
@click.argument("names", nargs=-1, metavar="[EXPERIMENT]...")
@click.option(
    "--state",
    "wanted",
    multiple=True,
    type=click.Choice(["finished", "queued", "running", "pending", "failed", "stale", "unavailable"]),
    help="Show only trials in this state; repeatable",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per trial")
def status(names: tuple[str, ...], wanted: tuple[str, ...], as_json: bool) -> None:
    """Show what is finished, running, failed or stale, and why; on SLURM what waits or runs, with its job

    \b
    papergen status
    papergen status decoding --state stale --state failed
    papergen status --json
    """
    import json
    from collections import Counter

    from papergen.core import widths
    from papergen.core.errors import MachineError
    from papergen.execution.launchers.slurm.files import submitted_tasks
    from papergen.experiment.project import open_project

    project = open_project()
    chosen = {trial.digest for trial in project.select(names, ())}
    try:
        left = submitted_tasks(project.root)
    except MachineError as error:
        left = []
        click.echo(f"What waits or runs on SLURM is not known: {error.message}.", err=True)
    on_cluster = {task.trial.digest: task for task in left}
    is_running = project.store.is_running()
    rows = []
    for item in project.states():
        task = on_cluster.get(item.trial.digest) if item.state != "finished" else None
        state = item.state if task is None or task.state == "ended" else task.state
        reason = item.reason if task is None else task.shown
        if task is None and state != "finished" and is_running(item.trial):
            state, reason = "running", ""
        if item.trial.digest in chosen:
            rows.append((item.trial, state, reason, task))
    shown = [row for row in rows if not wanted or row[1] in wanted]
    if as_json:
        for trial, state, reason, task in shown:
            record = {"trial": trial.label, "digest": trial.digest, "state": state, "reason": reason}
            click.echo(json.dumps(record | ({"slurm_job": task.task_id} if task else {}), ensure_ascii=False))
        return
    width = max((widths.width_of(trial.label) for trial, *_ in shown), default=0)
    lines = [
        f"{state:<11} {widths.ljust(trial.label, width)}  {trial.digest[:12]}  {reason}"
        for trial, state, reason, _ in shown
    ]
    counts = Counter(state for _, state, _, _ in rows)
    lines.append(", ".join(f"{counts[state]} {state}" for state in sorted(counts)))
    planned = {trial.digest for trial in project.trials}
    lines += [
        f"{task.state} but not in the plan: {task.trial.label}, {task.shown} (papergen cancel --old)"
        for task in left
        if task.trial.digest not in planned and task.state != "ended"
    ]
    click.echo("\n".join(line.rstrip() for line in lines))
