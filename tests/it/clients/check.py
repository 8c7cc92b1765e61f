"""Holds config/clients/lapsed.py against the daemon at the URL or socket given, and its document."""

import json
import sys
import threading
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from lapsed import OPERATIONS, Lapsed, LapsedError  # noqa: E402


def document_agrees(document):
    """Each operation of the document is one of the client, with the same parameters."""
    found = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method not in ("get", "post", "put", "patch", "delete") or not path.startswith("/v1/"):
                continue
            query = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
            found[operation["operationId"]] = (method.upper(), path, " ".join(query), "requestBody" in operation)
    events = found.pop("events")
    assert events == ("GET", "/v1/events", "after observed", False), events
    assert found == OPERATIONS, set(found.items()) ^ set(OPERATIONS.items())


def refused(status, code, act):
    try:
        act()
    except LapsedError as error:
        assert (error.status, error.code) == (status, code), error
        return error
    raise AssertionError(f"{code} was expected")


def main():
    url, document = sys.argv[2:4]
    token_file = sys.argv[4] if len(sys.argv) > 4 else None
    with Lapsed(url, token_file=token_file) as lapsed:
        document_agrees(json.loads(Path(document).read_text(encoding="utf-8")))
        assert lapsed.health()["status"] and "lapsed_build_info" in lapsed.metrics()
        # Names with anything in them.
        job = "a/b c?&ü"
        assert lapsed.put_job(job, status="running")["id"] == job
        assert lapsed.get_job(job)["status"] == "running"
        assert [one["id"] for one in lapsed.each("list_jobs", limit=1)] == [job]
        files = [one["path"] for one in lapsed.each("list_files", limit=2, sync=True)]
        assert len(files) == 5 and len(set(files)) == 5, files
        assert lapsed.explain(path=files[0])["path"] == files[0]
        pin = lapsed.add_pin(path=files[0], for_="1h", why="a test")
        assert lapsed.extend_pin(pin["id"], for_="2h")["id"] == pin["id"]
        assert [one["id"] for one in lapsed.list_pins()["pins"]] == [pin["id"]]
        lapsed.delete_pin(pin["id"])
        new = Path(files[0]).parent / "new"
        events = Lapsed(url, token_file=token_file).events(observed=True)
        seen = []
        thread = threading.Thread(target=lambda: seen.append(next(events)), daemon=True)
        thread.start()
        while thread.is_alive():
            new.write_text("x")
            lapsed.sync()
        assert seen[0]["path"] == str(new), seen
        assert lapsed.clean(dry_run=True)["files"] == 0
        assert lapsed.delete_job(job)
        refused(404, "not-found", lambda: lapsed.get_job("nobody"))
        error = refused(400, "invalid", lambda: lapsed.list_files(sort="nonsense"))
        assert "size" in error.allowed, error
        for wrong in (lambda: lapsed.status(nonsense=1), lambda: lapsed.get_job(), lambda: lapsed.call("nonsense")):
            try:
                wrong()
            except TypeError:
                continue
            raise AssertionError("it was accepted")
        # The connection is usable after all of that.
        assert lapsed.status()["version"]
    if token_file:
        refused(401, "invalid-credentials", lambda: Lapsed(url, token="nonsense").status())
    print("agreed")


main()
