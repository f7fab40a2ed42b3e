// SPDX-License-Identifier: EUPL-1.2
// A client in two functions: fetch for queries and mutations, graphql-ws for subscriptions.
import type { TadaDocumentNode } from 'gql.tada';
import { print } from 'graphql';
import { createClient } from 'graphql-ws';

const server = process.env.BELFRY_URL ?? 'http://127.0.0.1:8000';
const token = process.env.BELFRY_TOKEN;
if (!token) throw new Error('Put a token into BELFRY_TOKEN.');
const authorization = `Bearer ${token}`;

/** Runs a query or a mutation. Errors of the request as a whole are thrown, with their codes. */
export async function ask<Data, Variables>(document: TadaDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
  const response = await fetch(`${server}/graphql`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', Authorization: authorization },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors } = (await response.json()) as {
    data?: Data;
    errors?: { message: string; extensions: { code: string } }[];
  };
  if (errors || !data) throw new Error(errors?.map(({ message, extensions }) => `${extensions.code}: ${message}`).join('\n'));
  return data;
}

/** Follows a subscription until it breaks off; whoever calls this resumes with a newer cursor. */
export async function* follow<Data, Variables extends Record<string, unknown>>(
  document: TadaDocumentNode<Data, Variables>,
  variables: Variables,
): AsyncGenerator<Data> {
  const client = createClient({
    url: `${server.replace(/^http/, 'ws')}/graphql`,
    connectionParams: { authorization },
    retryAttempts: 0,
  });
  try {
    for await (const { data, errors } of client.iterate<Data>({ query: print(document), variables })) {
      if (errors || !data) throw new Error(JSON.stringify(errors));
      yield data;
    }
  } finally {
    await client.dispose();
  }
}

/** What a person can repair is data: compare the code, show the message. */
export function refuse(errors: readonly { code: string; message: string }[]): void {
  for (const { code, message } of errors) throw new Error(`${code}: ${message}`);
}
