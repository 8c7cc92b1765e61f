# Installed by lapsed init --shims; lapsed uninstall --shims restores what was here.
"""The Celery task of the clean-up, carried out by lapsed.

Without Celery, run_cleanup() is a plain function.
"""

import json
import logging
import subprocess

LAPSED = "@LAPSED@"
CONFIG = "@CONFIG@"

logger = logging.getLogger(__name__)

NAME = "workers.tasks.cleanup.run_cleanup"


def _task(function):
    try:
        from workers.celery_app import celery_app
    except ImportError:
        try:
            from celery import shared_task
        except ImportError:
            return function
        return shared_task(name=NAME)(function)
    return celery_app.task(name=NAME)(function)


@_task
def run_cleanup():
    """Removes what the retentions let go, and returns how much; None with CLEANUP_ENABLED=false.

    A run with errors is a RuntimeError: what could be removed is gone.
    """
    done = subprocess.run(
        [LAPSED, "--config", CONFIG, "run", "run_cleanup", "--output", "json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        problems = done.stderr.strip() or "lapsed ended with %d" % done.returncode
        logger.error("cleanup failed: %s", problems)
        raise RuntimeError(problems)
    result = json.loads(done.stdout)
    if result is None:
        logger.info("cleanup is disabled: CLEANUP_ENABLED=false")
    else:
        logger.info("cleanup completed: %s", json.dumps(result))
    return result
