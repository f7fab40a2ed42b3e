// SPDX-License-Identifier: EUPL-1.2
// One conversation: what was said last, and a field to answer it. Answering claims it first.
import { useState, type FormEvent } from 'react';
import { graphql, useFragment, useMutation } from 'react-relay';
import type { Row_conversation$key } from './__generated__/Row_conversation.graphql';
import type { RowClaimMutation } from './__generated__/RowClaimMutation.graphql';
import type { RowReplyMutation } from './__generated__/RowReplyMutation.graphql';

type UserErrors = readonly { code: string; message: string }[];

export function Row({ of }: { of: Row_conversation$key }) {
  const { id, state, lastMessage } = useFragment(
    graphql`
      fragment Row_conversation on Conversation { id state lastMessage { id text } }
    `,
    of,
  );
  const [told, tell] = useState('');
  const [claim] = useMutation<RowClaimMutation>(graphql`
    mutation RowClaimMutation($input: ConversationClaimInput!) {
      conversationClaim(input: $input) {
        conversation { ...Row_conversation claim { fence } }
        userErrors { code message }
      }
    }
  `);
  const [reply] = useMutation<RowReplyMutation>(graphql`
    mutation RowReplyMutation($input: ConversationReplyInput!) {
      conversationReply(input: $input) {
        conversation { ...Row_conversation }
        delivery { state }
        userErrors { code message }
      }
    }
  `);

  // What a person can repair is data: compare the code, show the message.
  const refused = (errors: UserErrors) => errors.map(({ message }) => message).join(' ');

  function answer(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const text = String(new FormData(event.currentTarget).get('text'));
    const idempotencyKey = crypto.randomUUID(); // the same for every repetition of this one answer
    claim({
      variables: { input: { conversationId: id } },
      onError: ({ message }) => tell(message),
      onCompleted: ({ conversationClaim: { conversation, userErrors } }) => {
        if (userErrors.length > 0) return tell(refused(userErrors));
        const fence = conversation?.claim?.fence;
        const input = { conversationId: id, text, purpose: 'ANSWER' as const, fence, lastSeenMessageId: lastMessage?.id, idempotencyKey };
        reply({
          variables: { input },
          onError: ({ message }) => tell(message),
          onCompleted: ({ conversationReply: { delivery, userErrors } }) => tell(delivery?.state ?? refused(userErrors)),
        });
      },
    });
  }

  return (
    <li>
      <p>{state}: {lastMessage?.text}</p>
      <form onSubmit={answer}>
        <label>Answer <input name="text" required /></label> <button>Send</button> <output>{told}</output>
      </form>
    </li>
  );
}
