// SPDX-License-Identifier: EUPL-1.2
// Opens /graphiql as a newcomer does: looks without a token, then runs each example with one. A line of JSON for each step.
// Arguments: the browser, the address of the server, a token, a folder for screenshots or nothing.
import { say, SIZES, withBrowser, WITHIN } from './watching.mjs';

const OPERATIONS = ['Inbox', 'NewestConversations', 'Desk', 'Live'];
const [executable, server, token, pictures] = process.argv.slice(2);

const editorText = (page, part) =>
  page.evaluate((name) => document.querySelector(`${name} .view-lines`)?.innerText.replaceAll('\u00a0', ' ') ?? '', part);

async function run(page) {
  const answered = page.waitForResponse((response) => response.url().endsWith('/graphql'));
  await page.locator('.graphiql-execute-button').click();
  return answered;
}

/** To another tab, until its query is there and the answer of the tab before has gone: what was run before would be lost. */
async function change(page, place) {
  await page.locator('.graphiql-tab').nth(place).click();
  await page.waitForFunction(
    ([name, before]) =>
      document.querySelector('.graphiql-query-editor .view-lines')?.innerText.includes(name) &&
      !document.querySelector('.result-window .view-lines')?.innerText.includes(before),
    [OPERATIONS[place], '"data"'],
  );
}

const shown = (page, text) =>
  page.waitForFunction((wanted) => document.querySelector('.result-window .view-lines')?.innerText.includes(wanted), text);

await withBrowser(executable, pictures, async (open) => {
  const { page, found, picture, close } = await open({});
  await page.goto(`${server}/graphiql`);
  await page.locator('.graphiql-query-editor .view-lines').waitFor();
  await page.waitForFunction(() => document.querySelector('.graphiql-query-editor .view-lines')?.innerText.includes('viewer'));
  say({ tabs: await page.locator('.graphiql-tab').count() });

  const refused = await run(page);
  say({ status: refused.status(), code: (await refused.json()).errors[0].extensions.code });

  await page.getByLabel('Token').fill(token);
  for (let place = 0; place < 3; place += 1) {
    if (place > 0) await change(page, place);
    const response = await run(page);
    const body = await response.json();
    await shown(page, '"data"');
    await picture(`graphiql-${place + 1}`);
    say({ name: response.request().postDataJSON().operationName, body });
  }

  await change(page, 3);
  const stream = await run(page);
  say({ live: stream.status(), type: stream.headers()['content-type'] });
  await shown(page, 'conversationEvents');
  say({ shown: await editorText(page, '.result-window') });
  await picture('graphiql-live');
  say(found());
  await close();

  for (const size of Object.keys(SIZES)) {
    const dark = await open({ size, colorScheme: 'dark' });
    await dark.page.goto(`${server}/graphiql`);
    await dark.page.locator('.graphiql-query-editor .view-lines').waitFor({ timeout: WITHIN });
    await run(dark.page);
    await shown(dark.page, 'UNAUTHENTICATED');
    await dark.picture('graphiql-start');
    say(dark.found());
    await dark.close();
  }
});
