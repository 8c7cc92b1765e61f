"""Client of lapsed's HTTP API: one file, the standard library only, Python 3.9 or newer.

    from lapsed import Lapsed

    lapsed = Lapsed()                                    # the socket of this host
    lapsed = Lapsed("https://host:7343", token_file="/run/secrets/lapsed")
    lapsed.put_job("17", status="running")
    for file in lapsed.each("list_files", expiring_within="24h"):
        print(file["path"], file["expires_at"])
    print(lapsed.clean(dry_run=True)["files"])

Each operation of the API (`GET /openapi.json`, shown at `/docs`) is a method under its name there:
parts of the path are its arguments, parameters and members of the body its keywords (`for_` where
Python keeps the word for itself). It returns the answer's JSON, and raises `LapsedError` for any other status. `each` follows cursors, `events` streams.
An object is for one thread at a time; each thread makes its own.
"""

import http.client
import json
import os
import socket
import ssl
from urllib.parse import quote, urlencode, urlsplit

# Name: method, path, parameters of the query, whether it takes a body.
OPERATIONS = {
    "add_pin": ("POST", "/v1/pins", "", True),
    "cancel_run": ("DELETE", "/v1/runs/{id}", "", False),
    "clean": ("POST", "/v1/clean", "", True),
    "create_token": ("POST", "/v1/tokens", "", True),
    "delete_job": ("DELETE", "/v1/jobs/{id}", "source", False),
    "delete_pin": ("DELETE", "/v1/pins/{id}", "", False),
    "drop_notifications": ("POST", "/v1/notify/drop", "", True),
    "empty_trash": ("POST", "/v1/trash/empty", "", True),
    "explain": ("GET", "/v1/explain", "path path_b64", False),
    "extend_pin": ("PATCH", "/v1/pins/{id}", "", True),
    "get_breaker": ("GET", "/v1/breaker", "", False),
    "get_job": ("GET", "/v1/jobs/{id}", "source", False),
    "get_pause": ("GET", "/v1/pause", "", False),
    "get_run": ("GET", "/v1/runs/{id}", "limit cursor", False),
    "health": ("GET", "/v1/health", "ready strict", False),
    "history": ("GET", "/v1/history", "limit cursor root rule job run since path", False),
    "limits": ("GET", "/v1/limits", "", False),
    "list_displaced": ("GET", "/v1/displaced", "", False),
    "list_files": (
        "GET",
        "/v1/files",
        "root job status orphan pinned rule glob hold expiring_within older_than min_size sort order limit cursor sync",
        False,
    ),
    "list_jobs": ("GET", "/v1/jobs", "source status kind limit cursor", False),
    "list_notifications": ("GET", "/v1/notify", "receiver", False),
    "list_pins": ("GET", "/v1/pins", "", False),
    "list_runs": ("GET", "/v1/runs", "limit cursor status cause root key since", False),
    "list_tokens": ("GET", "/v1/tokens", "", False),
    "list_trash": ("GET", "/v1/trash", "root id run job path since limit cursor", False),
    "pause": ("POST", "/v1/pause", "", True),
    "plan": ("GET", "/v1/plan", "within", False),
    "put_job": ("PUT", "/v1/jobs/{id}", "source", True),
    "release_breaker": ("POST", "/v1/breaker/release", "", True),
    "reload": ("POST", "/v1/reload", "", False),
    "remove_displaced": ("POST", "/v1/displaced/remove", "", True),
    "restore_displaced": ("POST", "/v1/displaced/restore", "", True),
    "resume": ("DELETE", "/v1/pause", "root", False),
    "retry_notifications": ("POST", "/v1/notify/retry", "", True),
    "revoke_token": ("DELETE", "/v1/tokens/{id}", "", False),
    "samples": ("GET", "/v1/samples", "by since", False),
    "settings": ("GET", "/v1/settings", "", False),
    "shadow": ("GET", "/v1/shadow", "list since limit cursor", False),
    "space": ("GET", "/v1/space", "retention", False),
    "stats": ("GET", "/v1/stats", "by since", False),
    "status": ("GET", "/v1/status", "", False),
    "sync": ("POST", "/v1/sync", "", False),
    "test_notification": ("POST", "/v1/notify/test/{name}", "", False),
    "undo": ("POST", "/v1/undo", "", True),
    "whoami": ("GET", "/v1/whoami", "", False),
}

# Members of answers that hold the things of a page.
LISTS = ("files", "removals", "jobs", "runs", "things")


class LapsedError(Exception):
    """A refusal, or a failure to carry a request out."""

    def __init__(self, status, problem):
        self.status = status
        self.answer = problem
        self.code = problem.get("code")
        self.detail = problem.get("detail", "")
        self.hint = problem.get("hint")
        self.allowed = problem.get("allowed", [])
        text = f"{status} {self.code or ''}: {self.detail}"
        if self.allowed:
            text += f"; allowed: {', '.join(self.allowed)}"
        super().__init__(text + (f"\n  {self.hint}" if self.hint else ""))


class _SocketConnection(http.client.HTTPConnection):
    """A connection to a Unix socket."""

    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Lapsed:
    """A client of one daemon.

    url: "http://…", "https://…", or the path of a socket (default: LAPSED_URL, LAPSED_SOCKET, or
    that of the service). token, or token_file: needed over TCP. ca_file: certificates to trust.
    timeout: seconds that an answer may take; a clean takes as long as its removals.
    """

    def __init__(self, url=None, token=None, token_file=None, ca_file=None, timeout=60.0):
        environment = os.environ
        self._url = url or environment.get("LAPSED_URL") or environment.get("LAPSED_SOCKET") or "/run/lapsed/lapsed.sock"
        if token is None and token_file is not None:
            with open(token_file, encoding="ascii") as file:
                token = file.read().strip()
        self._token, self._timeout, self._ca_file = token, timeout, ca_file
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection; the next request makes another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(self, operation, *parts, **values):
        """Carries an operation out, and returns the JSON of its answer."""
        method, target, body = _request(operation, parts, values)
        # A server may close a connection that nothing is asked on; only a question is asked twice.
        is_old = self._connection is not None
        try:
            answer = self._send(method, target, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()
            if not is_old or method != "GET":
                raise
            answer = self._send(method, target, body)
        except BaseException:
            self.close()
            raise
        content = answer.read()
        return _judged(answer.status, content)

    def each(self, operation, **values):
        """Yields everything that a listing has, page by page."""
        while True:
            page = self.call(operation, **values)
            lists = [name for name in LISTS if name in page]
            if len(lists) != 1:
                raise TypeError(f"{operation} has no pages")
            yield from page[lists[0]]
            if page.get("cursor") is None:
                return
            values["cursor"] = page["cursor"]

    def events(self, after=None, observed=False):
        """Yields events from now on, or from behind the number `after`, until the daemon ends.

        An event has its own connection. Follow again with `after=event["id"]`.
        """
        query = {"after": after, "observed": observed or None}
        connection = self._connect(None)
        try:
            connection.request("GET", "/v1/events" + _query(query), headers=self._headers("text/event-stream"))
            answer = connection.getresponse()
            if answer.status != 200:
                _judged(answer.status, answer.read())
            lines = []
            for line in answer:
                line = line.decode().rstrip("\r\n")
                if line.startswith("data:"):
                    lines.append(line[5:].lstrip(" "))
                elif not line and lines:
                    yield json.loads("\n".join(lines))
                    lines = []
        finally:
            connection.close()

    def metrics(self):
        """Returns the metrics in Prometheus' text format."""
        answer = self._send("GET", "/metrics", None)
        content = answer.read()
        return content.decode() if answer.status == 200 else _judged(answer.status, content)

    def _connect(self, timeout):
        if "://" not in self._url:
            return _SocketConnection(self._url, timeout)
        url = urlsplit(self._url)
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=self._ca_file)
            return http.client.HTTPSConnection(url.hostname, url.port, timeout=timeout, context=context)
        return http.client.HTTPConnection(url.hostname, url.port, timeout=timeout)

    def _headers(self, accepted):
        headers = {"accept": accepted}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        return headers

    def _send(self, method, target, body):
        if self._connection is None:
            self._connection = self._connect(self._timeout)
        headers = self._headers("application/json")
        if body is not None:
            headers["content-type"] = "application/json"
        self._connection.request(method, target, body=body, headers=headers)
        return self._connection.getresponse()


def _request(operation, parts, values):
    """The method, target and body of a request."""
    if operation not in OPERATIONS:
        raise TypeError(f"the API has no operation {operation}")
    method, path, parameters, has_body = OPERATIONS[operation]
    names = path.count("{")
    if len(parts) != names:
        raise TypeError(f"{operation} takes {names} arguments beside keywords, not {len(parts)}")
    values = {name.rstrip("_"): value for name, value in values.items()}
    pieces = path.replace("}", "{").split("{")
    pieces[1::2] = [quote(str(part), safe="") for part in parts]
    query = {name: values.pop(name) for name in parameters.split() if name in values}
    if values and not has_body:
        raise TypeError(f"{operation} has no parameter {', '.join(values)}; it has: {parameters or 'none'}")
    body = json.dumps(values) if has_body else None
    return method, "".join(pieces) + _query(query), body


def _query(values):
    values = {name: str(value).lower() if isinstance(value, bool) else value for name, value in values.items() if value is not None}
    return "?" + urlencode(values) if values else ""


def _judged(status, content):
    try:
        answer = json.loads(content)
    except ValueError:
        answer = {"detail": content[:200].decode(errors="replace")}
    if 200 <= status < 300:
        return answer
    raise LapsedError(status, answer if isinstance(answer, dict) else {})


def _method(operation):
    def method(self, *parts, **values):
        return self.call(operation, *parts, **values)

    verb, path, parameters, has_body = OPERATIONS[operation]
    method.__name__ = operation
    method.__doc__ = f"{verb} {path}; keywords: {parameters or 'none'}{', members of the body' if has_body else ''}."
    return method


for _operation in OPERATIONS:
    setattr(Lapsed, _operation, _method(_operation))
