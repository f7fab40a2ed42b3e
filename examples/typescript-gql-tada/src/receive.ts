// SPDX-License-Identifier: EUPL-1.2
// Receives webhooks, and believes only what is signed: WEBHOOK_SECRET=whsec_… npm run receive -- <port>
import { createServer, type IncomingMessage } from 'node:http';
import { Webhook } from 'standardwebhooks';

const BODY_BYTES_MAX = 20_000;
const secret = process.env.WEBHOOK_SECRET;
if (!secret) throw new Error('Put the secret of the endpoint into WEBHOOK_SECRET.');
const webhook = new Webhook(secret);

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    if ((length += chunk.length) > BODY_BYTES_MAX) throw new Error('too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8'); // exactly as it was sent: the signature is over these bytes
}

const server = createServer(async (request, response) => {
  try {
    const headers = request.headers as Record<string, string>;
    const event = webhook.verify(await bodyOf(request), headers) as { type: string };
    console.log(`${event.type}  ${headers['webhook-id']}`); // the id stays the same when a delivery is tried again
    response.writeHead(204).end();
  } catch {
    response.writeHead(400).end();
  }
});
server.listen(Number(process.argv[2] ?? 4000), '127.0.0.1', () => console.log('ready'));
