# SPDX-License-Identifier: EUPL-1.2
"""What the house demands of every file: short, named for what it is, and each dangerous thing in its one place."""

import ast
import json
import re
from pathlib import Path

import pytest

from services.kernel.access import Permission
from tests.support.source import EVERYTHING, PRODUCT, ROOT, Source, domains, sources

LINES_MAX = 400
FUNCTION_LINES_MAX = 50
HOLD_LOCKS = ("examples", "graphql_schema", "tests/support")
LICENSE_LINE = "# SPDX-License-Identifier: EUPL-1.2"
WORDLESS = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager", "misc"})
READS_ENVIRONMENT = ("services/kernel/settings.py", "services/embedded/")
WRITES_SQL = frozenset(
    {f"services/kernel/{name}.py" for name in ("database", "reads", "migrations", "isolation")}
    # The embedded cluster's own database is made before there is any other; its names are constants.
    | {"services/embedded/postgres.py"}
)
MAKES_SESSIONS = frozenset({"services/kernel/database.py", "services/kernel/migrations.py", "alembic/env.py"})
SESSION_MAKERS = frozenset(
    {
        *("sqlalchemy.create_engine", "sqlalchemy.ext.asyncio.create_async_engine", "sqlmodel.create_engine"),
        *("sqlalchemy.ext.asyncio.AsyncSession", "sqlalchemy.ext.asyncio.async_sessionmaker", "sqlmodel.Session"),
        *("sqlalchemy.orm.Session", "sqlalchemy.orm.sessionmaker", "sqlmodel.ext.asyncio.session.AsyncSession"),
    }
)
SPEAKS_HTTP = frozenset({"services/kernel/outbound.py", "services/kernel/addresses.py"})
ASKS_OWN_READINESS = "services/embedded/supervisor.py"
SQL_VERB = re.compile(
    r"^\s*(select|insert\s+into|update|delete\s+from|merge\s+into|with|alter|create|drop|grant|set\s+local|truncate)\s",
    re.IGNORECASE,
)
NOT_ACTS = {
    "services/conversations/commands/adopting.py": {"parents"},
    "services/conversations/commands/holding.py": {"lapse", "complete", "free", "hold_of"},
    "services/identity/commands/clients.py": {"issue_api_key", "note_key_use"},
    "services/identity/commands/people.py": {"register_person", "open_door", "issue_local_token"},
    "services/tenancy/commands.py": {"sort_key"},
}
"""Functions of command files that have no unit of work of an actor: parts of acts that were already let, the directory
before anybody is known, the local token, which refuses by itself outside of a local installation, and acts that open
their unit of work themselves and require within."""


@pytest.mark.parametrize("folder", EVERYTHING)
def test_no_file_is_longer_than_a_reader_bears(folder: str) -> None:
    long = {each.name: len(each.text.splitlines()) for each in sources(folder)}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


def test_no_function_of_the_product_is_longer_than_a_page() -> None:
    assert [
        f"{source.name}:{each.lineno} {each.name}"
        for source in sources(*PRODUCT)
        for each in source.functions()
        if (each.end_lineno or 0) - each.lineno + 1 > FUNCTION_LINES_MAX
    ] == []


def test_every_file_says_its_license_first_and_then_what_it_is() -> None:
    for source in sources(*EVERYTHING):
        first = next((line for line in source.text.splitlines() if not line.startswith("#!")), "")
        assert first == LICENSE_LINE, source.name
        assert ast.get_docstring(source.tree), source.name


def test_no_file_has_a_name_that_says_nothing() -> None:
    places = [*sources(*PRODUCT, "alembic", "bench"), *sources("tests/support")]
    wrong = [each.name for each in places if WORDLESS & set(re.split(r"[/_.]", each.name))]
    # Two names are nouns of what they hold: the session to the database, and the database of a test.
    assert [name for name in wrong if Path(name).stem != "database"] == []


def test_no_package_marker_stands_where_it_would_hide_something() -> None:
    for folder in ("alembic", "tests"):
        assert [path for path in (ROOT / folder).rglob("__init__.py") if "node_modules" not in path.parts] == []


def test_only_the_settings_read_the_environment() -> None:
    for source in sources(*PRODUCT, "alembic"):
        if source.name.startswith(READS_ENVIRONMENT):
            continue
        names = {ast.unparse(node) for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
        assert not names & {"os.environ", "os.environb", "os.getenv", "os.putenv"}, source.name
        assert not source.imports & {"os.environ", "os.getenv"}, source.name


def test_sessions_are_made_in_one_place() -> None:
    for source in sources(*PRODUCT, "alembic"):
        if source.name not in MAKES_SESSIONS:
            assert not source.imports & SESSION_MAKERS, source.name


def test_only_the_egress_client_speaks_http() -> None:
    for source in sources(*PRODUCT, "alembic"):
        if source.name not in SPEAKS_HTTP:
            assert not source.imports_any("httpx2"), source.name
        if source.name != ASKS_OWN_READINESS:
            assert not source.imports_any("http.client"), source.name
        for other in ("httpx", "requests", "aiohttp", "urllib.request", "urllib3"):
            assert not source.imports_any(other), source.name
    for source in sources("tests"):
        assert not source.imports_any("httpx"), source.name


def test_only_workers_know_the_queue() -> None:
    users = {source.name for source in sources(*EVERYTHING) if source.imports_any("arq")}
    assert users
    assert all(name.startswith(("workers/", "tests/workers/")) for name in users)


def test_banned_libraries_are_imported_nowhere() -> None:
    for source in sources(*EVERYTHING):
        for banned in ("pickle", "shelve", "jose", "authlib.jose", "msgspec"):
            assert not source.imports_any(banned), source.name


def test_rows_have_no_relationships() -> None:
    for source in sources("services"):
        assert not source.imports & {"sqlmodel.Relationship", "sqlalchemy.orm.relationship"}, source.name


def test_no_sql_is_built_from_strings() -> None:
    wrong: list[str] = []
    for source in sources(*PRODUCT):
        if source.name in WRITES_SQL:
            continue
        for node in ast.walk(source.tree):
            text = built_text(node)
            if text is not None and SQL_VERB.match(text) and " " in text.strip():
                wrong.append(f"{source.name}:{getattr(node, 'lineno', 0)} {text.strip()[:60]}")
            if isinstance(node, ast.Call) and node.args and runs_text(source, node.func):
                first = node.args[0]
                if not isinstance(first, ast.Constant | ast.Name | ast.Attribute):
                    wrong.append(f"{source.name}:{node.lineno} {ast.unparse(node)[:60]}")
    assert wrong == []


def test_a_planted_string_of_sql_would_be_found() -> None:
    planted = ["f'SELECT {x}'", "'UPDATE a ' + b", "'DELETE FROM %s' % a", "'WITH a AS {}'.format(b)"]
    for code in planted:
        text = next(filter(None, (built_text(node) for node in ast.walk(ast.parse(code)))))
        assert SQL_VERB.match(text), code


def test_every_command_begins_by_requiring_a_permission() -> None:
    """The first line of every act decides whether the actor may do it at all."""
    seen: dict[str, set[str]] = {}
    for source in command_files():
        for function in source.tree.body:
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.name.startswith("_"):
                continue
            if function.name in NOT_ACTS.get(source.name, ()):
                continue
            permission = required_permission(function)
            assert permission is not None, f"{source.name}: {function.name} does not begin with uow.actor.require(…)"
            assert permission in Permission.__members__, f"{source.name}: {function.name}"
            seen.setdefault(permission, set()).add(function.name)
    assert len(seen) > 5


def test_what_is_excused_from_requiring_exists_and_takes_no_unit_of_work() -> None:
    files = {source.name: source for source in command_files()}
    for name, excused in NOT_ACTS.items():
        functions = {each.name: each for each in files[name].functions()}
        assert excused <= set(functions), name
        for each in excused:
            arguments = functions[each].args
            assert "uow" not in {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}, (name, each)


def test_the_lock_file_names_public_indexes_only() -> None:
    text = (ROOT / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]+)"', text)) == {"https://pypi.org/simple"}
    assert set(re.findall(r'url = "https?://([^/"]+)', text)) == {"files.pythonhosted.org"}
    locks = [path for folder in HOLD_LOCKS for path in (ROOT / folder).rglob("package-lock.json")]
    assert locks
    for path in locks:
        if "node_modules" not in path.parts:
            hosts = set(re.findall(r"https?://([^/\"]+)", json.dumps(json.loads(path.read_text())["packages"])))
            assert not {host for host in hosts if "npm" in host or "registry" in host} - {"registry.npmjs.org"}, path


def test_a_domain_that_is_not_built_has_no_folder() -> None:
    for path in (ROOT / "services").iterdir():
        if path.is_dir() and path.name != "__pycache__":
            assert any(path.rglob("*.py")), path.name
    assert {"tenancy", "identity", "social_accounts", "deliveries", "conversations", "assignments", "workload"} <= set(
        domains()
    )


def command_files() -> list[Source]:
    return [each for each in sources("services") if re.match(r"services/\w+/commands(\.py|/\w+\.py)$", each.name)]


def required_permission(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str | None:
    """The member of Permission that the first statement after the docstring requires."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    found = re.fullmatch(r"uow\.actor\.require\(Permission\.(\w+)\)", ast.unparse(body[0])) if body else None
    return found[1] if found else None


def runs_text(source: Source, function: ast.expr) -> bool:
    """Whether this is SQLAlchemy's text() or exec_driver_sql()."""
    if isinstance(function, ast.Attribute):
        return function.attr == "exec_driver_sql"
    return isinstance(function, ast.Name) and function.id == "text" and "sqlalchemy.text" in source.imports


def built_text(node: ast.AST) -> str | None:
    """The beginning of a text that is put together at run time, or None."""
    if isinstance(node, ast.JoinedStr) and any(isinstance(each, ast.FormattedValue) for each in node.values):
        first = node.values[0]
        return str(first.value) if isinstance(first, ast.Constant) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        left = node.left
        return left.value if isinstance(left, ast.Constant) and isinstance(left.value, str) else built_text(left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join"):
        text = node.func.value
        return text.value if isinstance(text, ast.Constant) and isinstance(text.value, str) else None
    return None
