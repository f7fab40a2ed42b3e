// SPDX-License-Identifier: EUPL-1.2
// Builds the page at /graphiql. All it needs lies below one address of our own, as its Content-Security-Policy demands.
import { createHash } from 'node:crypto';
import { defineConfig, type Plugin } from 'vite';

const BASE = '/static/graphiql/';
const ENDINGS: Record<string, string> = {
  'font/ttf': 'ttf',
  'font/woff': 'woff',
  'font/woff2': 'woff2',
  'image/png': 'png',
  'image/svg+xml': 'svg',
};
const DATA_URL = /url\((["']?)data:([a-z0-9+/-]+)(?:;charset=[a-z0-9-]+)?(;base64)?,((?:(?!\1\)).)*)\1\)/gi;

/** GraphiQL's style sheet holds fonts and pictures as data: addresses, which the policy does not let in: make files of them. */
function dataUrlsAsFiles(): Plugin {
  return {
    name: 'data-urls-as-files',
    enforce: 'post',
    generateBundle(_options, bundle) {
      for (const asset of Object.values(bundle)) {
        if (asset.type !== 'asset' || !asset.fileName.endsWith('.css')) continue;
        asset.source = asset.source.toString().replace(DATA_URL, (_all, _quote, kind: string, base64, content: string) => {
          const ending = ENDINGS[kind];
          if (ending === undefined) throw new Error(`A data: address of an unknown kind: ${kind}`);
          const source = base64 ? Buffer.from(content, 'base64') : Buffer.from(decodeURIComponent(content));
          const fileName = `assets/${createHash('sha256').update(source).digest('hex').slice(0, 16)}.${ending}`;
          this.emitFile({ type: 'asset', fileName, source });
          return `url(${BASE}${fileName})`;
        });
        if (asset.source.includes('url(data:')) throw new Error(`${asset.fileName} still holds a data: address`);
      }
    },
  };
}

export default defineConfig({
  base: BASE,
  plugins: [dataUrlsAsFiles()],
  worker: { format: 'es' },
  build: {
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 8_000,
    cssCodeSplit: false,
    license: { fileName: 'licenses.md' },
    modulePreload: { polyfill: false },
  },
});
