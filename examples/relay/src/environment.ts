// SPDX-License-Identifier: EUPL-1.2
// Relay's network: JSON for queries and mutations, server-sent events for subscriptions.
import { createClient } from 'graphql-sse';
import { Environment, Network, Observable, RecordSource, Store, type GraphQLResponse } from 'relay-runtime';

/** An environment for one token, which stays in the memory of the page. */
export function environmentFor(token: string): Environment {
  const headers = { Authorization: `Bearer ${token}` };
  // It does not try again by itself: it would ask for the old cursor. Live.tsx resumes behind the newest one.
  const events = createClient({ url: '/graphql', headers, retryAttempts: 0 });
  return new Environment({
    store: new Store(new RecordSource()),
    network: Network.create(
      async ({ text }, variables) => {
        const response = await fetch('/graphql', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', ...headers },
          body: JSON.stringify({ query: text, variables }),
        });
        return (await response.json()) as GraphQLResponse;
      },
      ({ text }, variables) =>
        Observable.create((sink) => events.subscribe<GraphQLResponse>({ query: text ?? '', variables }, sink as never)),
    ),
  });
}
