// SPDX-License-Identifier: EUPL-1.2
import { defineConfig } from 'vite';
import relay from 'vite-plugin-relay';

// The page and the API have one origin, as they should have in earnest: here the server of the page passes /graphql on.
const proxy = { '/graphql': process.env.BELFRY_URL ?? 'http://127.0.0.1:8000' };

export default defineConfig({ plugins: [relay], server: { proxy }, preview: { proxy } });
