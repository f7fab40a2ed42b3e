// SPDX-License-Identifier: EUPL-1.2
// Sends what GraphiQL asks: queries and mutations as JSON, subscriptions as server-sent events. Same origin only.
import type { Fetcher, FetcherParams } from '@graphiql/toolkit';
import { getOperationAST, parse, type ExecutionResult } from 'graphql';
import { createClient, NetworkError } from 'graphql-sse';

const ADDRESS = '/graphql';

type Headers = Record<string, string>;

/** A fetcher that adds the token, unless the headers editor says otherwise. */
export function fetcherWith(token: () => string): Fetcher {
  return (asked, options) => {
    const given: Headers = options?.headers ?? {};
    const named = Object.keys(given).some((name) => name.toLowerCase() === 'authorization');
    const headers = named || token() === '' ? given : { ...given, Authorization: `Bearer ${token()}` };
    return isSubscription(asked) ? events(asked, headers) : answer(asked, headers);
  };
}

function isSubscription({ query, operationName }: FetcherParams): boolean {
  return getOperationAST(parse(query), operationName)?.operation === 'subscription';
}

async function answer(asked: FetcherParams, headers: Headers): Promise<ExecutionResult> {
  const response = await fetch(ADDRESS, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/graphql-response+json', ...headers },
    body: JSON.stringify(asked),
  });
  return (await response.json()) as ExecutionResult;
}

async function* events(asked: FetcherParams, headers: Headers): AsyncGenerator<ExecutionResult> {
  const client = createClient({ url: ADDRESS, headers, retryAttempts: 0 });
  try {
    yield* client.iterate({
      query: asked.query,
      operationName: asked.operationName ?? undefined,
      variables: asked.variables as Record<string, unknown>,
    }) as AsyncIterableIterator<ExecutionResult>;
  } catch (error) {
    // A refusal says why in its body, like every error of the API.
    if (!(error instanceof NetworkError) || error.response === undefined) throw error;
    yield (await (error.response as Response).json()) as ExecutionResult;
  } finally {
    client.dispose();
  }
}
