// SPDX-License-Identifier: EUPL-1.2
// Follows live events, and resumes behind the last one after every break: npm run follow -- <how many> <cursor file>
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { follow } from './belfry.ts';
import { graphql } from './graphql.ts';

const Follow = graphql(`
  subscription Follow($after: String) {
    conversationEvents(after: $after) { event cursor nodeId node { state } }
  }
`);

const wanted = Number(process.argv[2] ?? Infinity);
const file = process.argv[3] ?? 'cursor.txt';
let after = existsSync(file) ? readFileSync(file, 'utf8') : null;

for (let seen = 0; seen < wanted; ) {
  try {
    for await (const { conversationEvents } of follow(Follow, { after })) {
      const { event, cursor, nodeId, node } = conversationEvents;
      // After RESYNC too much was missed to be told one by one: fetch the inbox again, and go on from here.
      console.log(`${event}  ${nodeId ?? ''}  ${node?.state ?? ''}`);
      writeFileSync(file, (after = cursor)); // once it is dealt with: events come at least once
      if (++seen >= wanted) break;
    }
  } catch (broken) {
    console.error(broken);
  }
  if (seen < wanted) await pause(1_000);
}
