// SPDX-License-Identifier: EUPL-1.2
// One operation by graphql-ws or graphql-sse: a line of JSON for each result, then one that says how it ended.
// node client.mjs ws|sse <url> <token> <query> <variables>
import { createClient as overEvents } from "graphql-sse";
import { createClient as overSocket } from "graphql-ws";
import WebSocket from "ws";

const [transport, url, token, query, variables] = process.argv.slice(2);
const authorization = `Bearer ${token}`;
const client =
  transport === "ws"
    ? overSocket({ url, webSocketImpl: WebSocket, connectionParams: { authorization }, retryAttempts: 0 })
    : overEvents({ url, headers: { authorization }, retryAttempts: 0 });
const tell = (line) => console.log(JSON.stringify(line));
try {
  for await (const result of client.iterate({ query, variables: JSON.parse(variables) })) tell({ next: result });
  tell({ end: "complete" });
} catch (error) {
  if (Array.isArray(error)) tell({ end: "error", errors: error });
  else if (error?.code) tell({ end: "closed", code: error.code });
  else tell({ end: "failed", status: error?.response?.status, message: String(error?.message ?? error) });
} finally {
  await client.dispose();
}
