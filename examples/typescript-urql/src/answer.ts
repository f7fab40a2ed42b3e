// SPDX-License-Identifier: EUPL-1.2
// Takes a conversation and answers it: npm run answer -- <conversation id> "The words of the answer."
import { randomUUID } from 'node:crypto';
import { client, dataOf } from './client.ts';
import { graphql } from './gql/index.ts';

const Claim = graphql(`
  mutation Claim($input: ConversationClaimInput!) {
    conversationClaim(input: $input) {
      conversation { claim { fence } lastMessage { id } }
      userErrors { code message }
    }
  }
`);

const Reply = graphql(`
  mutation Reply($input: ConversationReplyInput!) {
    conversationReply(input: $input) {
      delivery { state }
      userErrors { code message }
    }
  }
`);

const [conversationId, text] = process.argv.slice(2);
if (!conversationId || !text) throw new Error('Name a conversation, and say what to answer.');

const { conversationClaim } = dataOf(await client.mutation(Claim, { input: { conversationId } }));
refuse(conversationClaim.userErrors);
const held = conversationClaim.conversation;

// The fence shows that the claim is still ours, lastSeenMessageId that we have read everything. The key makes it safe
// to send the same again after an error of the network, which means unknown, not failed.
const { conversationReply } = dataOf(
  await client.mutation(Reply, {
    input: {
      conversationId,
      text,
      purpose: 'ANSWER',
      fence: held?.claim?.fence,
      lastSeenMessageId: held?.lastMessage?.id,
      idempotencyKey: randomUUID(),
    },
  }),
);
refuse(conversationReply.userErrors);
console.log(conversationReply.delivery?.state);

/** What a person can repair is data: compare the code, show the message. */
function refuse(errors: readonly { code: string; message: string }[]): void {
  for (const { code, message } of errors) throw new Error(`${code}: ${message}`);
}
