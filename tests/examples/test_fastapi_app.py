"""`examples/fastapi_app` as a real process, driven over its socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import frozen

import engine_store
from engine_store import (
    Component,
    ErrorInfo,
    ExecutionType,
    NewEvent,
    Status,
    Store,
    TaskState,
    UsageEntry,
    UsageSummary,
    keys,
)
from fastapi_app import cli
from postgres_server import UNSAFE, PostgresServer

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "fastapi_app"

URL = "ENGINE_STORE_DATABASE_URL"

EXEC_ID = "01936451-9e4f-7000-8000-000000000000"


@frozen
class Service:
    """A process that serves, what it printed before, and a client that has the admin's key."""

    process: subprocess.Popen[str]
    printed: list[str]
    http: httpx.Client

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Send a signal; the exit code, and what came on standard error in all of its life."""
        self.process.send_signal(number)
        _, errors = self.process.communicate()
        return self.process.returncode, errors


Serve = Callable[..., Service]
Here = Callable[..., tuple[int | str | None, str, str]]


@contextmanager
def served(folder: Path, environment: dict[str, str], key: str | None = None) -> Iterator[Service]:
    """Start the service in `folder`, on a free port; it is ready when it says so."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(EXAMPLE), "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        printed: list[str] = []
        while not printed or not printed[-1].startswith("Serving on "):
            printed.append(process.stdout.readline())
            assert printed[-1], process.communicate()[1]
        base = printed[-1].split()[2]
        headers = {"Authorization": f"Bearer {key or printed[1].strip()}"}
        with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=60) as http:
            yield Service(process, printed, http)
        process.kill()


@pytest.fixture
def serve(tmp_path: Path, environment: dict[str, str]) -> Iterator[Serve]:
    """Start services in `tmp_path`; keywords are variables of the environment."""
    with ExitStack() as stack:

        def serve(key: str | None = None, **variables: str) -> Service:
            return stack.enter_context(served(tmp_path, {**environment, **variables}, key))

        yield serve


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service of most tests runs."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def service(place: Path, clean_environment: dict[str, str]) -> Iterator[Service]:
    """One service for all tests that do no harm to it."""
    with served(place, clean_environment) as service:
        yield service


@pytest.fixture
def http(service: Service) -> httpx.Client:
    """A client with the admin's key."""
    return service.http


@pytest.fixture
def behind(service: Service, place: Path) -> Iterator[Store]:
    """The store of the service, opened beside it: what an engine does meanwhile."""
    with engine_store.open(f"sqlite:///{place}/engine.db") as store:
        yield store


def created(http: httpx.Client, **fields: Any) -> str:
    """Create an execution; its id."""
    answer = http.post("/workflows", json={"workflow_id": "report", **fields})
    assert answer.status_code == 201, answer.text
    exec_id: str = answer.json()["workflow_exec_id"]
    return exec_id


def ended(http: httpx.Client) -> str:
    """Create an execution, append two events, and end it; its id."""
    exec_id = created(http)
    for number in (1, 2):
        http.post(f"/workflows/{exec_id}/events", json={"kind": "token", "data": {"n": number}})
    assert set_status(http, exec_id, "SUCCESS", "*").status_code == 200
    return exec_id


def stream(
    http: httpx.Client, exec_id: str, **options: Any
) -> AbstractContextManager[httpx.Response]:
    """Ask for the events of an execution."""
    return http.stream("GET", f"/workflows/{exec_id}/events", **options)


def messages(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """Yield the messages of a stream as they come: the fields of each, with its data decoded."""
    message: dict[str, Any] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name:
            message[name] = json.loads(value) if name == "data" else value
        else:
            yield message
            message = {}
    assert not message


def set_status(http: httpx.Client, exec_id: str, status: str, if_match: str) -> httpx.Response:
    return http.post(
        f"/workflows/{exec_id}/status", json={"status": status}, headers={"If-Match": if_match}
    )


# --- the process -------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> dict[str, str]:
    """What names the database: nothing for the default file, one variable for PostgreSQL."""
    if request.param == "sqlite":
        return {}
    return {URL: request.getfixturevalue("postgres_store_url")}


def test_what_was_answered_is_there_after_kill_9_and_the_key_still_holds(
    serve: Serve, database: dict[str, str]
) -> None:
    first = serve(**database)
    assert first.printed[0] == (
        "The first admin is admin@example.org. Its API key is shown this once:\n"
    )
    assert len(first.printed) == 3
    assert first.http.get("/health").json() == {"reads": True, "writes": True}
    exec_id = created(first.http, input={"pages": 3})
    assert set_status(first.http, exec_id, "RUNNING", '"1"').status_code == 200
    before = first.http.get(f"/workflows/{exec_id}").json()
    code, errors = first.stop(signal.SIGKILL)
    assert (code, errors) == (-signal.SIGKILL, "")

    second = serve(key=first.printed[1].strip(), **database)
    assert len(second.printed) == 1  # there is an admin
    after = second.http.get(f"/workflows/{exec_id}").json()
    assert after == before
    assert (after["status"], after["version"], after["input"]) == ("RUNNING", 2, {"pages": 3})


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "fastapi_app: stopped\n"),
        (signal.SIGTERM, -signal.SIGTERM, ""),
    ],
)
def test_a_service_that_is_stopped_writes_what_is_due_and_closes_its_store(
    serve: Serve, tmp_path: Path, number: signal.Signals, code: int, said: str
) -> None:
    service = serve()
    assert service.http.get("/workflows").json() == {"items": [], "next_cursor": None}
    assert service.stop(number) == (code, said)
    assert [path.name for path in tmp_path.iterdir()] == ["engine.db"]  # no -wal: it was closed
    with engine_store.open(f"sqlite:///{tmp_path}/engine.db") as store:
        [key] = store.api_keys.list().items
        assert key.last_used is not None


def test_a_service_that_is_stopped_ends_its_streams(serve: Serve, tmp_path: Path) -> None:
    service = serve()
    exec_id = created(service.http)
    service.http.post(f"/workflows/{exec_id}/events", json={"kind": "token"})
    with stream(service.http, exec_id) as answer:
        received = messages(answer)
        assert next(received)["id"] == "1"
        code, errors = service.stop(signal.SIGTERM)
    assert (code, errors.count("\n")) == (-signal.SIGTERM, 1)
    assert errors.startswith("ERROR:    Cancel 1 running task(s)")
    assert [path.name for path in tmp_path.iterdir()] == ["engine.db"]  # no -wal: it was closed


def test_while_the_database_is_away_the_answer_is_503_and_then_all_is_well(serve: Serve) -> None:
    with PostgresServer(settings=UNSAFE) as server:
        service = serve(**{URL: server.url(pool_timeout="1")})
        exec_id = created(service.http)
        server.kill()
        away = service.http.get(f"/workflows/{exec_id}")
        assert (away.status_code, away.headers["Retry-After"]) == (503, "1")
        assert away.json() == {"detail": "The database is not available"}
        health = service.http.get("/health")
        assert (health.status_code, health.json()) == (503, {"reads": False, "writes": False})
        server.start()
        assert service.http.get(f"/workflows/{exec_id}").status_code == 200
        assert service.http.get("/health").status_code == 200
        _, errors = service.stop(signal.SIGTERM)
        assert f"GET /workflows/{exec_id}: PostgreSQL" in errors  # the log says why


@pytest.fixture
def here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Here:
    """Run the command in this process, where it ends at once; its code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **variables: str) -> tuple[int | str | None, str, str]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        try:
            code: int | str | None = cli.main(arguments)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(
    ("variables", "code", "said"),
    [
        (
            {URL: "oracle://me:secret@host/db"},
            2,
            "fastapi_app: database.url (ENGINE_STORE_DATABASE_URL): no driver named 'oracle'",
        ),
        (
            {URL: "postgresql://me:secret@127.0.0.1:1/none"},
            3,
            "fastapi_app: PostgreSQL at 127.0.0.1, database none: connection failed: ",
        ),
        (
            {"ENGINE_STORE_DATABASE_DRIVER": "sqlite", "ENGINE_STORE_DATABASE_PTH": "engine.db"},
            2,
            "fastapi_app: database.pth (ENGINE_STORE_DATABASE_PTH): no setting is called so; "
            "did you mean path?\n",
        ),
        ({URL: "sqlite:///nowhere/engine.db"}, 2, "fastapi_app: url: there is no directory"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_before_anything_is_served(
    here: Here, tmp_path: Path, variables: dict[str, str], code: int, said: str
) -> None:
    found, output, errors = here("--port", "0", **variables)
    assert (found, output, errors.count("\n")) == (code, "", 1)
    assert errors.startswith(said)
    assert "secret" not in errors
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_one_line(here: Here) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = f"fastapi_app: port {port}: Address already in use; name another one with --port\n"
        assert here("--port", str(port)) == (2, "", said)


def test_a_port_that_is_none_is_wrong_usage(here: Here) -> None:
    code, _, errors = here("--port", "65536")
    assert code == 2
    assert errors.endswith("error: argument --port: expected a port, 0 to 65535\n")


# --- who may call ------------------------------------------------------------------------------


def test_without_a_valid_key_there_is_one_answer_whatever_is_wrong(
    http: httpx.Client, behind: Store
) -> None:
    [admin] = behind.users.list().items
    key, secret = keys.create(behind, admin.user_id)
    bearer = {"Authorization": f"Bearer {secret.reveal()}"}
    assert http.get("/workflows", headers=bearer).status_code == 200
    keys.revoke(behind, key.key_id)
    unknown = f"es_{'a' * 12}_{'b' * 43}"
    answers = [
        http.get("/workflows", headers=headers)
        for headers in (
            {"Authorization": ""},
            {"Authorization": "Bearer guess"},
            {"Authorization": f"Bearer {unknown}"},
            {"Authorization": f"Basic {secret.reveal()}"},
            bearer,
        )
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/workflows"),
        ("GET", "/workflows"),
        ("GET", f"/workflows/{EXEC_ID}"),
        ("POST", f"/workflows/{EXEC_ID}/status"),
        ("POST", f"/workflows/{EXEC_ID}/cancel"),
        ("GET", f"/workflows/{EXEC_ID}/events"),
        ("POST", f"/workflows/{EXEC_ID}/events"),
    ],
)
def test_every_route_but_that_of_health_asks_for_a_key(
    http: httpx.Client, method: str, path: str
) -> None:
    assert http.request(method, path, headers={"Authorization": ""}).status_code == 401
    assert http.get("/health", headers={"Authorization": ""}).status_code == 200


# --- workflows ---------------------------------------------------------------------------------


def test_a_workflow_is_created_and_read_with_its_tasks(http: httpx.Client, behind: Store) -> None:
    document = {"float": 1e17, "zero": -0.0, "int": 2**63 - 1, "text": "cafe\u0301", "empty": {}}
    answer = http.post("/workflows", json={"workflow_id": "report", "input": document})
    state = answer.json()
    exec_id = state["workflow_exec_id"]
    assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
    assert answer.headers["Location"] == f"/workflows/{exec_id}"
    times = {name: state[name] for name in ("created_at", "updated_at")}
    assert state == {
        "workflow_exec_id": exec_id,
        "workflow_id": "report",
        "status": "PENDING",
        "input": document,
        "output": None,
        "error": None,
        "usage": {"entries": []},
        "version": 1,
        **times,
    }
    assert repr(state["input"]) == repr(document)

    task = behind.tasks.create(
        TaskState(
            exec_id,
            f"task-of-{exec_id}",
            "draft",
            "report",
            component=Component.AGENT,
            execution_type=ExecutionType.BASIC,
            agent_id="writer",
            action_id="write",
        )
    )
    used = UsageSummary.of([UsageEntry("anyone", "a-model", 90, 10)])
    error = ErrorInfo("no answer", "NO_ANSWER", {"attempts": 3})
    behind.tasks.update(task.evolve(status=Status.FAILED, error=error, usage=used))
    answer = http.get(f"/workflows/{exec_id}")
    assert (answer.headers["ETag"], answer.headers["Cache-Control"]) == ('"1"', "no-store")
    tasks = answer.json().pop("tasks")
    assert {**answer.json(), "tasks": {}} == {**state, "tasks": {}}
    draft = tasks["draft"]
    assert (list(tasks), draft["task_exec_id"], draft["version"]) == (
        ["draft"],
        task.task_exec_id,
        2,
    )
    assert (draft["component"], draft["agent_id"], draft["tool_id"]) == ("agent", "writer", None)
    assert draft["error"] == {
        "message": "no answer",
        "code": "NO_ANSWER",
        "details": {"attempts": 3},
    }
    assert draft["usage"]["entries"] == [
        {
            "provider": "anyone",
            "model": "a-model",
            "prompt_tokens": 90,
            "completion_tokens": 10,
            "total_tokens": 100,
        }
    ]


def test_pages_neither_skip_nor_repeat_the_newest_first(http: httpx.Client) -> None:
    ids = [created(http) for _ in range(5)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    while cursor.get("cursor", "") is not None:
        page = http.get("/workflows", params={"limit": "2", **cursor}).json()
        found += [state["workflow_exec_id"] for state in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert found[:5] == ids[::-1]
    assert len(found) == len(set(found))


def test_of_two_that_read_the_same_version_one_wins(http: httpx.Client) -> None:
    exec_id = created(http)
    tag = http.get(f"/workflows/{exec_id}").headers["ETag"]
    won, lost = (set_status(http, exec_id, status, tag) for status in ("RUNNING", "CANCELED"))
    assert (won.status_code, won.headers["ETag"]) == (200, '"2"')
    assert (won.json()["status"], won.json()["version"]) == ("RUNNING", 2)
    assert (lost.status_code, lost.headers["ETag"]) == (412, '"2"')
    assert lost.json() == {"detail": "the version is 2, not 1; read it again"}
    again = set_status(http, exec_id, "CANCELED", lost.headers["ETag"])
    assert (again.status_code, again.json()["status"]) == (200, "CANCELED")


def test_an_execution_that_has_ended_stays_as_it_is(http: httpx.Client) -> None:
    exec_id = created(http)
    ended = set_status(http, exec_id, "SUCCESS", "*")
    assert ended.status_code == 200
    answer = set_status(http, exec_id, "RUNNING", ended.headers["ETag"])
    assert (answer.status_code, answer.json()) == (
        409,
        {"detail": f"'{exec_id}' is SUCCESS, not one of PAUSED, PENDING, RUNNING, WAITING"},
    )
    assert http.get(f"/workflows/{exec_id}").json()["version"] == 2


def test_a_request_that_is_sent_again_creates_nothing_twice(http: httpx.Client) -> None:
    request = {"workflow_id": "report", "workflow_exec_id": EXEC_ID}
    codes = [http.post("/workflows", json=request).status_code for _ in range(2)]
    assert codes == [201, 409]


def test_a_canceled_execution_ends_with_its_tasks_and_the_reason(
    http: httpx.Client, behind: Store
) -> None:
    exec_id = created(http)
    behind.tasks.create(TaskState(exec_id, f"task-of-{exec_id}", "draft", "report"))
    answer = http.post(f"/workflows/{exec_id}/cancel", json={"reason": "no longer needed"})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    error = {"message": "no longer needed", "code": "CANCELED", "details": None}
    assert (answer.json()["status"], answer.json()["error"]) == ("CANCELED", error)
    draft = http.get(f"/workflows/{exec_id}").json()["tasks"]["draft"]
    assert (draft["status"], draft["error"]) == ("CANCELED", error)
    again = http.post(f"/workflows/{exec_id}/cancel", json={"reason": "too late"})
    assert (again.status_code, again.json()) == (200, answer.json())


# --- events ------------------------------------------------------------------------------------


def test_events_are_streamed_as_they_come_until_the_execution_has_ended(
    http: httpx.Client, behind: Store
) -> None:
    exec_id = created(http)
    signal = {"kind": "approval", "data": {"by": "Zoë\n", "score": 1.0}, "key": "approval-1"}
    sent = http.post(f"/workflows/{exec_id}/events", json=signal)
    assert sent.status_code == 201
    assert sent.json() == {
        "number": 1,
        "task_exec_id": None,
        "created_at": sent.json()["created_at"],
        **signal,
    }
    with stream(http, exec_id) as answer:
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
        assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        received = messages(answer)
        assert next(received) == {"event": "approval", "data": sent.json(), "id": "1"}
        behind.events.append(exec_id, "two\nlines")  # while the stream waits
        second = next(received)
        assert (second["id"], second["event"]) == ("2", "two lines")
        assert (second["data"]["kind"], second["data"]["data"]) == ("two\nlines", None)
        http.post(f"/workflows/{exec_id}/cancel", json={})
        assert list(received) == []


def test_all_events_of_an_execution_that_has_ended_are_sent(
    http: httpx.Client, behind: Store
) -> None:
    exec_id = ended(http)
    behind.events.append_many(exec_id, [NewEvent("token")] * 200)
    with stream(http, exec_id) as answer:
        numbers = [message["id"] for message in messages(answer)]
    assert numbers == [str(number) for number in range(1, 203)]


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"after": "1"}},
        {"headers": {"Last-Event-ID": "1"}},
        {"headers": {"Last-Event-ID": "1"}, "params": {"after": "0"}},
    ],
)
def test_a_stream_goes_on_after_the_last_event_that_was_seen(
    http: httpx.Client, options: dict[str, Any]
) -> None:
    with stream(http, ended(http), **options) as answer:
        assert [message["id"] for message in messages(answer)] == ["2"]


def test_a_browser_that_has_seen_the_end_is_told_not_to_ask_again(http: httpx.Client) -> None:
    with stream(http, ended(http), headers={"Last-Event-ID": "2"}) as answer:
        assert (answer.status_code, answer.read()) == (204, b"")


def test_the_stream_of_an_execution_that_is_deleted_ends(http: httpx.Client, behind: Store) -> None:
    exec_id = created(http)
    behind.events.append(exec_id, "token")
    with stream(http, exec_id) as answer:
        received = messages(answer)
        assert next(received)["id"] == "1"
        behind.workflows.delete(exec_id)
        assert list(received) == []


def test_a_signal_that_is_sent_again_is_the_same_event(http: httpx.Client) -> None:
    exec_id = created(http)
    signal = {"kind": "approval", "data": {"by": "ann"}, "key": "approval-1"}
    first, again = (http.post(f"/workflows/{exec_id}/events", json=signal) for _ in range(2))
    assert first.json() == again.json()
    other = http.post(f"/workflows/{exec_id}/events", json={"kind": "approval"})
    assert other.json()["number"] == 2


# --- what is wrong with a request --------------------------------------------------------------


@pytest.mark.parametrize(
    ("if_match", "code", "said"),
    [
        (None, 428, "If-Match is missing: the ETag as you read it, or * for any"),
        ('W/"1"', 400, 'If-Match is neither one ETag, such as "3", nor *'),
        ('"1", "2"', 400, 'If-Match is neither one ETag, such as "3", nor *'),
        ("1", 400, 'If-Match is neither one ETag, such as "3", nor *'),
    ],
)
def test_a_change_says_which_version_it_is_of(
    http: httpx.Client, if_match: str | None, code: int, said: str
) -> None:
    headers = {} if if_match is None else {"If-Match": if_match}
    body = {"status": "RUNNING"}
    answer = http.post(f"/workflows/{created(http)}/status", json=body, headers=headers)
    assert (answer.status_code, answer.json()) == (code, {"detail": said})


def test_what_is_not_there_is_404(http: httpx.Client) -> None:
    for answer in (
        http.get("/workflows/none"),
        set_status(http, "none", "RUNNING", "*"),
        http.post("/workflows/none/cancel", json={}),
        http.get("/workflows/none/events"),
        http.post("/workflows/none/events", json={"kind": "approval"}),
    ):
        assert (answer.status_code, answer.json()) == (
            404,
            {"detail": "no workflow execution with id 'none'"},
        )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"workflow_id": ""}', "workflow.workflow_id: expected 1 to 255 characters, found 0"),
        (
            '{"workflow_id": "a", "input": {"score": NaN}}',
            "workflow.input.score: expected a finite float, found nan",
        ),
        (
            '{"workflow_id": "a", "input": {"n": 9223372036854775808}}',
            "workflow.input.n: expected an integer from -2^63 to 2^63-1, found one beyond",
        ),
        (
            r'{"workflow_id": "a", "input": {"\ud800": 1}}',
            r"workflow.input.'\ud800': a string may not hold a lone surrogate",
        ),
        ('{"workflow_id": NaN}', "body.workflow_id: Input should be a valid string"),
        ('{"workflow_id": "a", "name": 1}', "body.name: Extra inputs are not permitted"),
        ('{"workflow_id": "a", "input": []}', "body.input: Input should be a valid dictionary"),
        ("{}", "body.workflow_id: Field required"),
    ],
)
def test_a_value_that_no_store_takes_is_422_and_its_place_is_named(
    http: httpx.Client, body: str, said: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = http.post("/workflows", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (422, {"detail": said})


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"limit": "0"}, "query.limit: Input should be greater than or equal to 1"),
        ({"limit": "101"}, "query.limit: Input should be less than or equal to 100"),
        ({"cursor": "guess"}, "cursor: expected the next_cursor of a page"),
    ],
)
def test_a_page_that_cannot_be_is_422(http: httpx.Client, query: dict[str, str], said: str) -> None:
    answer = http.get("/workflows", params=query)
    assert (answer.status_code, answer.json()) == (422, {"detail": said})


def test_an_event_that_cannot_be_is_422(http: httpx.Client) -> None:
    path = f"/workflows/{created(http)}/events"
    for answer, said in (
        (http.post(path, json={"kind": ""}), "kind: expected 1 to 255 characters, found 0"),
        (http.get(path, params={"after": "-1"}), "after: expected an integer from 0 to 2^63-1"),
    ):
        assert (answer.status_code, answer.json()) == (422, {"detail": said})


def test_the_interface_is_described(http: httpx.Client) -> None:
    described = json.loads(http.get("/openapi.json").content)
    assert {path: sorted(methods) for path, methods in described["paths"].items()} == {
        "/health": ["get"],
        "/workflows": ["get", "post"],
        "/workflows/{workflow_exec_id}": ["get"],
        "/workflows/{workflow_exec_id}/cancel": ["post"],
        "/workflows/{workflow_exec_id}/events": ["get", "post"],
        "/workflows/{workflow_exec_id}/status": ["post"],
    }
    assert list(described["components"]["securitySchemes"]) == ["HTTPBearer"]
