// SPDX-License-Identifier: EUPL-1.2
// What happens, as it happens. Rows that are shown change by themselves: Relay knows them by their id.
import { useEffect, useRef, useState } from 'react';
import { graphql, useRelayEnvironment } from 'react-relay';
import { requestSubscription } from 'relay-runtime';
import type { LiveSubscription } from './__generated__/LiveSubscription.graphql';

const RESUME_MILLISECONDS = 1_000;

export function Live() {
  const environment = useRelayEnvironment();
  const cursor = useRef<string | null>(null);
  const [last, show] = useState('nothing yet');

  useEffect(() => {
    let ended = false;
    let current: { dispose(): void } | undefined;
    const resume = () => void (ended || setTimeout(subscribe, RESUME_MILLISECONDS));

    function subscribe() {
      current = requestSubscription<LiveSubscription>(environment, {
        subscription: graphql`
          subscription LiveSubscription($after: String) {
            conversationEvents(after: $after) { event cursor node { ...Row_conversation } }
          }
        `,
        variables: { after: cursor.current },
        onNext: (response) => {
          if (!response) return;
          cursor.current = response.conversationEvents.cursor; // after a break it goes on behind this one
          show(response.conversationEvents.event);
        },
        onCompleted: resume,
        onError: resume,
      });
    }

    subscribe();
    return () => {
      ended = true;
      current?.dispose();
    };
  }, [environment]);

  return <p role="status">Last event: {last}</p>;
}
