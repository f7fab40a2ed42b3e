// SPDX-License-Identifier: EUPL-1.2
// Lists what waits for somebody, page by page: npm run inbox -- 30
import { client, dataOf } from './client.ts';
import { graphql } from './gql/index.ts';

const Inbox = graphql(`
  query Inbox($first: Int!, $after: String) {
    conversations(first: $first, after: $after, filter: { state: { neq: CLOSED } }) {
      nodes { id state nextContactDueAt category { name } contact { displayName } lastMessage { text } }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

async function pageBehind(after: string | null, first: number) {
  return dataOf(await client.query(Inbox, { first, after })).conversations;
}

let wanted = Number(process.argv[2] ?? 10);
let page = await pageBehind(null, Math.min(wanted, 20));
while (page) {
  for (const { id, state, category, lastMessage } of page.nodes) {
    console.log(`${id}  ${state}  ${category?.name ?? '–'}  ${lastMessage?.text.slice(0, 60) ?? ''}`);
  }
  wanted -= page.nodes.length;
  if (wanted <= 0 || !page.pageInfo.hasNextPage) break;
  page = await pageBehind(page.pageInfo.endCursor ?? null, Math.min(wanted, 20));
}
