// SPDX-License-Identifier: EUPL-1.2
// One urql client: queries and mutations as JSON, subscriptions as server-sent events.
import { Client, type CombinedError, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-sse';

const url = `${process.env.BELFRY_URL ?? 'http://127.0.0.1:8000'}/graphql`;
const token = process.env.BELFRY_TOKEN;
if (!token) throw new Error('Put a token into BELFRY_TOKEN.');
const headers = { Authorization: `Bearer ${token}` };

// It does not try again by itself: it would ask for the old cursor. follow.ts resumes behind the newest one.
const events = createClient({ url, headers, retryAttempts: 0 });

export const client = new Client({
  url,
  preferGetMethod: false,
  fetchOptions: { headers },
  exchanges: [
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: ({ query = '', variables }) => ({
        subscribe: (sink) => ({ unsubscribe: events.subscribe({ query, variables }, sink as never) }),
      }),
    }),
  ],
});

/** The data of a result; an error of the request as a whole ends the program with its codes. */
export function dataOf<Data>({ data, error }: { data?: Data; error?: CombinedError }): Data {
  const told = error?.graphQLErrors.map(({ message, extensions }) => `${extensions.code}: ${message}`).join('\n');
  if (error || !data) throw new Error(told || error?.message);
  return data;
}
