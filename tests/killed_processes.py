"""Processes that die where a test says, or are killed when it says."""


def run_or_kill(process, kill_after: float | None = None) -> int:
    """Start a process; its exit code when it has ended, or was killed after `kill_after` seconds."""
    process.start()
    process.join(timeout=kill_after or 120)
    if process.is_alive():
        process.kill()
        process.join()
        assert kill_after, "the run hangs"
    return process.exitcode
