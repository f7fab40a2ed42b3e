// SPDX-License-Identifier: EUPL-1.2
// The list of conversations, which loads more of them when it is asked to.
import { graphql, useLazyLoadQuery, usePaginationFragment } from 'react-relay';
import type { InboxPage_query$key } from './__generated__/InboxPage_query.graphql';
import type { InboxPageQuery } from './__generated__/InboxPageQuery.graphql';
import type { InboxQuery } from './__generated__/InboxQuery.graphql';
import { Row } from './Row';

export function Inbox() {
  const query = useLazyLoadQuery<InboxQuery>(graphql`query InboxQuery { ...InboxPage_query }`, {});
  return <Page of={query} />;
}

function Page({ of }: { of: InboxPage_query$key }) {
  const { data, loadNext, hasNext, isLoadingNext } = usePaginationFragment<InboxPageQuery, InboxPage_query$key>(
    graphql`
      fragment InboxPage_query on Query
      @argumentDefinitions(first: { type: "Int", defaultValue: 10 }, after: { type: "String" })
      @refetchable(queryName: "InboxPageQuery") {
        conversations(first: $first, after: $after, filter: { state: { neq: CLOSED } }) @connection(key: "Inbox_conversations") {
          edges { node { id ...Row_conversation } }
        }
      }
    `,
    of,
  );
  return (
    <section>
      <ul>{data.conversations?.edges.map(({ node }) => <Row key={node.id} of={node} />)}</ul>
      <button disabled={!hasNext || isLoadingNext} onClick={() => loadNext(10)}>More</button>
    </section>
  );
}
