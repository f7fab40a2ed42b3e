// SPDX-License-Identifier: EUPL-1.2
// The page at /graphiql: GraphiQL over the schema of this server, with examples, and a field for the token.
import 'graphiql/setup-workers/vite';
import { buildSchema, type GraphQLSchema } from 'graphql';
import { GraphiQL } from 'graphiql';
import { StrictMode, useId, useMemo, useRef } from 'react';
import { createRoot } from 'react-dom/client';
import 'graphiql/style.css';
import { fetcherWith } from './fetcher';
import './page.css';
import conversation from '../examples/conversation.graphql?raw';
import desk from '../examples/desk.graphql?raw';
import inbox from '../examples/inbox.graphql?raw';
import live from '../examples/live.graphql?raw';

// The first one has no variables: GraphiQL shows those of a tab only when somebody comes to it.
const TABS = [
  { query: inbox },
  { query: conversation, variables: '{\n  "states": ["OPEN", "WAITING_ON_CITIZEN"]\n}' },
  { query: desk },
  { query: live, variables: '{\n  "after": null\n}' },
];

/** The token stays in this page's memory: it is gone with the page. */
function Page({ schema }: { schema: GraphQLSchema | undefined }) {
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const fetcher = useMemo(() => fetcherWith(() => field.current?.value.trim() ?? ''), []);
  return (
    <>
      <header className="belfry">
        <h1>Belfry</h1>
        <label htmlFor={id}>Token</label>
        <input id={id} ref={field} type="password" autoComplete="off" spellCheck={false} placeholder="belfry_…" />
        <nav aria-label="Documentation">
          <a href="/docs/api">Reference</a> <a href="/schema.graphql">Schema</a>
        </nav>
      </header>
      <main>
        <GraphiQL fetcher={fetcher} schema={schema} defaultTabs={TABS} />
      </main>
    </>
  );
}

/** The schema is public, unlike introspection: completion and documentation work before there is a token. */
async function publicSchema(): Promise<GraphQLSchema | undefined> {
  const response = await fetch('/schema.graphql');
  return response.ok ? buildSchema(await response.text()) : undefined;
}

const place = document.getElementById('page');
if (place === null) throw new Error('The page has no place for GraphiQL.');
const schema = await publicSchema();
createRoot(place).render(
  <StrictMode>
    <Page schema={schema} />
  </StrictMode>,
);
