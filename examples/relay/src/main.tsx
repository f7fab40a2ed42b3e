// SPDX-License-Identifier: EUPL-1.2
import { Suspense, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { RelayEnvironmentProvider } from 'react-relay';
import type { Environment } from 'relay-runtime';
import { environmentFor } from './environment';
import { Inbox } from './Inbox';
import { Live } from './Live';

function App() {
  const [environment, enter] = useState<Environment>();
  if (!environment) {
    return (
      <form action={(form) => enter(environmentFor(String(form.get('token'))))}>
        <label>Token <input name="token" type="password" autoComplete="off" required /></label> <button>Enter</button>
      </form>
    );
  }
  return (
    <RelayEnvironmentProvider environment={environment}>
      <main>
        <h1>Inbox</h1>
        <Live />
        <Suspense fallback="Loading …"><Inbox /></Suspense>
      </main>
    </RelayEnvironmentProvider>
  );
}

const place = document.getElementById('page');
if (place) createRoot(place).render(<App />);
