# SPDX-License-Identifier: EUPL-1.2
"""Takes a conversation and answers it: python answer.py <conversation id> "The words of the answer." """

import asyncio
import sys
from uuid import uuid4

from belfry import asking, refuse
from gql import gql

CLAIM = gql("""
  mutation Claim($input: ConversationClaimInput!) {
    conversationClaim(input: $input) {
      conversation { claim { fence } lastMessage { id } }
      userErrors { code message }
    }
  }
""")
REPLY = gql("""
  mutation Reply($input: ConversationReplyInput!) {
    conversationReply(input: $input) { delivery { state } userErrors { code message } }
  }
""")


async def main(conversation_id: str, text: str) -> None:
    async with asking() as session:
        CLAIM.variable_values = {"input": {"conversationId": conversation_id}}
        held = refuse((await session.execute(CLAIM))["conversationClaim"])["conversation"]
        # The fence shows that the claim is still ours, lastSeenMessageId that we have read everything. The key makes it
        # safe to send the same again after an error of the network, which means unknown, not failed.
        REPLY.variable_values = {
            "input": {
                "conversationId": conversation_id,
                "text": text,
                "purpose": "ANSWER",
                "fence": held["claim"]["fence"],
                "lastSeenMessageId": held["lastMessage"]["id"],
                "idempotencyKey": str(uuid4()),
            }
        }
        print(refuse((await session.execute(REPLY))["conversationReply"])["delivery"]["state"])


asyncio.run(main(*sys.argv[1:3]))
