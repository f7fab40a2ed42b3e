// SPDX-License-Identifier: EUPL-1.2
// graphql-http's audits of a server: one line of JSON for each. node audit.mjs <url> <token>
import { auditServer } from "graphql-http";

const [url, token] = process.argv.slice(2);
const signed = (address, init = {}) =>
  fetch(address, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
for (const each of await auditServer({ url, fetchFn: signed })) {
  console.log(JSON.stringify({ id: each.id, name: each.name, status: each.status, reason: each.reason }));
}
