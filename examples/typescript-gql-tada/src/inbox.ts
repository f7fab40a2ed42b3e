// SPDX-License-Identifier: EUPL-1.2
// Lists what waits for somebody, the most urgent first: npm run inbox -- 30
import type { FragmentOf } from 'gql.tada';
import { readFragment } from 'gql.tada';
import { ask } from './belfry.ts';
import { graphql } from './graphql.ts';

const Line = graphql(`
  fragment Line on Conversation {
    id state category { name } lastMessage { text }
  }
`);

const Inbox = graphql(`
  query Inbox($first: Int!) {
    conversations(first: $first, filter: { state: { neq: CLOSED } }) { nodes { ...Line } }
  }
`, [Line]);

function show(masked: FragmentOf<typeof Line>): void {
  const { id, state, category, lastMessage } = readFragment(Line, masked);
  console.log(`${id}  ${state}  ${category?.name ?? '–'}  ${lastMessage?.text.slice(0, 60) ?? ''}`);
}

const { conversations } = await ask(Inbox, { first: Number(process.argv[2] ?? 10) });
conversations?.nodes.forEach(show);
