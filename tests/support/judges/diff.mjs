// SPDX-License-Identifier: EUPL-1.2
// graphql-inspector's comparison of two schemas: one line of JSON for each change. node diff.mjs <old> <new>
import { diff } from "@graphql-inspector/core";
import { buildSchema } from "graphql";
import { readFileSync } from "node:fs";

const [before, after] = process.argv.slice(2).map((path) => buildSchema(readFileSync(path, "utf8")));
for (const each of await diff(before, after)) {
  console.log(JSON.stringify({ level: each.criticality.level, type: each.type, path: each.path, message: each.message }));
}
console.log(JSON.stringify({ done: true }));
