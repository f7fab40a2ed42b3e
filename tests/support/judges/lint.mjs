// SPDX-License-Identifier: EUPL-1.2
// graphql-eslint's rules for schemas and for Relay's shapes: one line of JSON for each message. node lint.mjs <schema>
import graphqlPlugin from "@graphql-eslint/eslint-plugin";
import { ESLint } from "eslint";
import { dirname } from "node:path";

const [schema] = process.argv.slice(2);
const eslint = new ESLint({
  cwd: dirname(schema),
  overrideConfigFile: true,
  overrideConfig: [
    {
      files: ["**/*.graphql"],
      languageOptions: { parser: graphqlPlugin.parser, parserOptions: { graphQLConfig: { schema } } },
      plugins: { "@graphql-eslint": graphqlPlugin },
      rules: {
        ...graphqlPlugin.configs["flat/schema-recommended"].rules,
        ...graphqlPlugin.configs["flat/schema-relay"].rules,
        // What has no identity of its own: pages, answers of acts, figures, and parts of another row.
        "@graphql-eslint/strict-id-in-types": [
          "error",
          {
            acceptedIdNames: ["id"],
            acceptedIdTypes: ["ID"],
            exceptions: {
              suffixes: ["Connection", "Edge", "Payload", "Result", "UserError"],
              types: ["PageInfo", "Viewer", "RateLimit", "ResponseTime", "OutboundMix", "Claim", "ConversationEvent", "ExportEvent"],
            },
          },
        ],
        // Connections have `nodes` beside `edges`, for clients that need no cursor of each item.
        "@graphql-eslint/relay-edge-types": ["error", { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false }],
      },
    },
  ],
});
for (const file of await eslint.lintFiles([schema])) {
  for (const each of file.messages) console.log(JSON.stringify({ rule: each.ruleId, line: each.line, message: each.message }));
}
console.log(JSON.stringify({ done: true }));
