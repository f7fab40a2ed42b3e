# SPDX-License-Identifier: EUPL-1.2
"""Follows live events, and resumes behind the last one after every break: python follow.py <how many> <cursor file>"""

import asyncio
import sys
from pathlib import Path

from belfry import following
from gql import gql
from gql.transport.exceptions import TransportError

FOLLOW = gql("""
  subscription Follow($after: String) {
    conversationEvents(after: $after) { event cursor nodeId node { state } }
  }
""")


async def main(wanted: float, file: Path) -> None:
    seen, cursor = 0, file.read_text() if file.exists() else None
    while seen < wanted:
        FOLLOW.variable_values = {"after": cursor}
        try:
            async with following() as session:
                async for result in session.subscribe(FOLLOW):
                    event = result["conversationEvents"]
                    # After RESYNC too much was missed to be told one by one: fetch the inbox again, and go on here.
                    print(event["event"], event["nodeId"], (event["node"] or {}).get("state", ""), flush=True)
                    cursor = event["cursor"]
                    file.write_text(cursor)  # once it is dealt with: events come at least once
                    seen += 1
                    if seen >= wanted:
                        return
        except (TransportError, OSError) as broken:
            print(broken, file=sys.stderr)
        await asyncio.sleep(1)


asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else float("inf"), Path(*sys.argv[2:3] or ["cursor.txt"])))
