// SPDX-License-Identifier: EUPL-1.2
// Uses the page of the Relay example: enters, asks for more, waits for a question, answers it. A line of JSON for each step.
// Arguments: the browser, the address of the page, a token, the words of the question, an answer.
import { say, withBrowser } from './watching.mjs';

const [executable, address, token, question, answer] = process.argv.slice(2);

await withBrowser(executable, '', async (open) => {
  const { page, found } = await open({});
  await page.goto(address);
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Enter' }).click();
  const rows = page.locator('li');
  await rows.first().waitFor();
  say({ rows: await rows.count() });
  const more = page.getByRole('button', { name: 'More' });
  await more.click();
  await page.waitForFunction(() => document.querySelectorAll('li').length === 20);
  say({ rows: await rows.count() });
  await page.waitForFunction(() => !document.querySelector('[role=status]').innerText.includes('nothing yet'));
  say({ told: await page.getByRole('status').first().innerText() });
  await page.reload();
  await page.getByLabel('Token').fill(token);
  await page.getByRole('button', { name: 'Enter' }).click();
  const row = rows.filter({ hasText: question });
  while ((await row.count()) === 0 && (await more.isEnabled())) {
    const before = await rows.count();
    await more.click();
    await page.waitForFunction((count) => document.querySelectorAll('li').length > count, before);
  }
  await row.getByLabel('Answer').fill(answer);
  await row.getByRole('button', { name: 'Send' }).click();
  await page.waitForFunction((words) => [...document.querySelectorAll('li')].some(
    (each) => each.innerText.includes(words) || each.querySelector('output')?.innerText), question);
  say({ state: await page.locator('output:not(:empty)').first().innerText() });
  say(found());
});
