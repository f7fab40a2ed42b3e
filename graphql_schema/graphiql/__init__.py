# SPDX-License-Identifier: EUPL-1.2
"""GraphiQL at `/graphiql`: a page of our own that asks no other origin for anything.

`page/` holds its sources and the lock of its packages. `./belfry graphiql` bundles them into `built/`, once; the API
needs no Node, and starts without the bundle. The page holds no secrets: whoever opens it brings a token along.
"""

from collections.abc import Sequence
from os import PathLike, stat_result
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from graphql_schema.negotiation import not_found_response
from graphql_schema.request_ids import request_id_of

BUILT = Path(__file__).with_name("built")
STATIC = "/static/graphiql"
HASHED = "assets"
"""Files in this folder of the bundle are named by their content, and never change."""
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"}
NOT_BUILT = "GraphiQL has not been built on this installation. Whoever runs it builds it with: ./belfry graphiql"


def graphiql_routes(built: Path) -> Sequence[BaseRoute]:
    """`/graphiql`, and the files of its bundle. `built` is the folder that the bundle lies in, or will."""

    async def page(request: Request) -> Response:
        index = built / "index.html"
        if not index.is_file():
            return not_found_response(request_id_of(request.scope), code="NOT_BUILT", message=NOT_BUILT)
        return FileResponse(index, headers={**HEADERS, "Cache-Control": "no-cache"})

    return [
        Route("/graphiql", page, methods=["GET"]),
        Mount(STATIC, _Bundle(directory=built, check_dir=False), name="graphiql"),
    ]


class _Bundle(StaticFiles):
    """The files of the bundle, with the page's policy: a worker has the one that its own file comes with."""

    async def check_config(self) -> None:
        """A folder that is not there yet holds no files: that is all."""

    def file_response(
        self, full_path: str | PathLike[str], stat_result: stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers.update(HEADERS)
        is_hashed = Path(full_path).parent.name == HASHED
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if is_hashed else "no-cache"
        return response
