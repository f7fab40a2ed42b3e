// SPDX-License-Identifier: EUPL-1.2
// Follows live events, and resumes behind the last one after every break: npm run follow -- <how many> <cursor file>
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { toAsyncIterable } from 'wonka';
import { client } from './client.ts';
import { graphql } from './gql/index.ts';

const Follow = graphql(`
  subscription Follow($after: String) {
    conversationEvents(after: $after) { event cursor occurredAt nodeId node { state } }
  }
`);

const wanted = Number(process.argv[2] ?? Infinity);
const file = process.argv[3] ?? 'cursor.txt';
let after = existsSync(file) ? readFileSync(file, 'utf8') : null;

for (let seen = 0; seen < wanted; ) {
  for await (const { data, error } of toAsyncIterable(client.subscription(Follow, { after }))) {
    if (error) console.error(error.message);
    if (error || !data) break;
    const { event, cursor, nodeId, node } = data.conversationEvents;
    // After RESYNC too much was missed to be told one by one: fetch the inbox again, and go on from here.
    console.log(`${event}  ${nodeId ?? ''}  ${node?.state ?? ''}`);
    writeFileSync(file, (after = cursor)); // once it is dealt with: events come at least once
    if (++seen >= wanted) break;
  }
  if (seen < wanted) await pause(1_000);
}
process.exit(0);
