// SPDX-License-Identifier: EUPL-1.2
// A page under watch: what it asks for, what its policy forbids, and what breaks in it.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const CRITERIA = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
export const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 360, height: 740 } };
export const WITHIN = 30_000;

/** One line of JSON for whoever started this. */
export function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Opens a browser for `work(open)`; `open(options)` gives a watched page. Screenshots go to `pictures`, if given. */
export async function withBrowser(executablePath, pictures, work) {
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
  try {
    await work((options) => watched(browser, options, pictures));
  } finally {
    await browser.close();
  }
}

async function watched(browser, { size = 'desktop', colorScheme = 'light', ...others }, pictures) {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme, bypassCSP: false, ...others });
  context.setDefaultTimeout(WITHIN);
  const page = await context.newPage();
  const seen = { origins: new Set(), violations: [], broken: [] };
  await page.exposeFunction('tellViolation', (text) => seen.violations.push(text));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      window.tellViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== 'blob:' && protocol !== 'data:') seen.origins.add(origin);
  });
  page.on('websocket', (socket) => seen.origins.add(new URL(socket.url()).origin));
  page.on('pageerror', (error) => seen.broken.push(String(error)));
  page.on('console', (message) => {
    // Violations inside of workers have no document that could be told.
    if (message.type() === 'error' && message.text().includes('Content Security Policy')) seen.violations.push(message.text());
  });
  return {
    page,
    found: () => ({ origins: [...seen.origins], violations: seen.violations, broken: seen.broken }),
    picture: async (name) => pictures && page.screenshot({ path: join(pictures, `${name}-${size}-${colorScheme}.png`) }),
    /** What axe finds, and whether the page can be read without scrolling sideways. */
    judged: async () => {
      const result = await page.evaluate(`${AXE}; axe.run(document, { runOnly: ${JSON.stringify(CRITERIA)} })`);
      const barriers = result.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html).join(' ')}`);
      const overflows = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
      return { barriers, overflows, checks: result.passes.length };
    },
    close: () => context.close(),
  };
}
