# SPDX-License-Identifier: EUPL-1.2
"""Lists what waits for somebody, page by page: python inbox.py 30"""

import asyncio
import sys

from belfry import asking
from gql import gql

INBOX = gql("""
  query Inbox($first: Int!, $after: String) {
    conversations(first: $first, after: $after, filter: { state: { neq: CLOSED } }) {
      nodes { id state category { name } lastMessage { text } }
      pageInfo { hasNextPage endCursor }
    }
  }
""")


async def main(wanted: int) -> None:
    after = None
    async with asking() as session:
        while wanted > 0:
            INBOX.variable_values = {"first": min(wanted, 20), "after": after}
            page = (await session.execute(INBOX))["conversations"]
            for each in page["nodes"]:
                topic, last = each["category"], each["lastMessage"]
                print(each["id"], each["state"], topic["name"] if topic else "–", last["text"][:60] if last else "")
            wanted -= len(page["nodes"])
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                return


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10))
