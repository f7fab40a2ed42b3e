// SPDX-License-Identifier: EUPL-1.2
// Looks at pages of the reference, and lets axe judge each. A line of JSON for each page, and one of what was asked for.
// Arguments: the browser, the address of the server, a folder for screenshots or nothing, a size, a scheme, addresses.
import { say, withBrowser } from './watching.mjs';

const [executable, server, pictures, size, colorScheme, ...addresses] = process.argv.slice(2);

await withBrowser(executable, pictures, async (open) => {
  const { page, found, picture, judged } = await open({ size, colorScheme });
  for (const address of addresses) {
    await page.goto(`${server}${address}`);
    await picture(address.slice(1).replaceAll('/', '-'));
    say({ address, ...(await judged()) });
  }
  say(found());
});
