// SPDX-License-Identifier: EUPL-1.2
// Starts a whole AT Protocol network for the connector tests: directory, personal data server and application view.
//
// In:  DB_POSTGRES_URL, DB_POSTGRES_SCHEMA, REDIS_HOST ("host:port"). Files go to a new folder in the temporary one.
// Out: one JSON line when everything answers:
//      {pid, pdsUrl, appViewUrl, plcUrl, tokenSecret, accounts: [{name, did, handle, password}]}.
// SIGTERM ends it at once, and so does the end of standard input; `network.close()` would take over ten seconds.
// Either way the folder goes too.

import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

const LOOPBACK = '127.0.0.1'
const ACCOUNTS = ['town', 'citizen', 'neighbor']

// The servers of the package listen on every interface. Both forms of a TCP listen get the loopback address instead;
// a path (a socket file) or a handle stays as it is.
const listen = net.Server.prototype.listen
net.Server.prototype.listen = function listenOnLoopback(...given) {
  const [first, ...rest] = given
  if (first !== null && typeof first === 'object') {
    const tcp = first.port !== undefined
    return listen.call(this, tcp ? { ...first, host: LOOPBACK } : first, ...rest)
  }
  const isPort = typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))
  if (isPort || first === undefined) {
    const callback = given.find((argument) => typeof argument === 'function')
    return listen.call(this, { port: Number(first ?? 0), host: LOOPBACK }, ...(callback ? [callback] : []))
  }
  return listen.apply(this, given)
}

process.env.TMPDIR = mkdtempSync(join(tmpdir(), 'belfry-peer-'))
process.env.HOME = process.env.TMPDIR
process.on('exit', () => rmSync(process.env.TMPDIR, { recursive: true, force: true }))
process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
// The parent holds our standard input open; when it is gone, however it went, so are we.
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume()

const onLoopback = (url) => url.replace('//localhost:', `//${LOOPBACK}:`)

async function createAccount(pdsUrl, name) {
  const password = `${name}-password-on-loopback`
  const answer = await fetch(`${pdsUrl}/xrpc/com.atproto.server.createAccount`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ handle: `${name}.test`, email: `${name}@example.test`, password }),
  })
  if (!answer.ok) throw new Error(`account ${name}: ${answer.status} ${await answer.text()}`)
  const { did, handle } = await answer.json()
  return { name, did, handle, password }
}

const { JWT_SECRET, TestNetwork } = await import('@atproto/dev-env')
const network = await TestNetwork.create({
  dbPostgresUrl: process.env.DB_POSTGRES_URL,
  dbPostgresSchema: process.env.DB_POSTGRES_SCHEMA ?? 'belfry_peer',
})
const pdsUrl = onLoopback(network.pds.url)
const accounts = []
for (const name of ACCOUNTS) accounts.push(await createAccount(pdsUrl, name))
await network.processAll()

process.stdout.write(
  `${JSON.stringify({
    pid: process.pid,
    pdsUrl,
    appViewUrl: onLoopback(network.bsky.url),
    plcUrl: onLoopback(network.plc.url),
    tokenSecret: JWT_SECRET,
    accounts,
  })}\n`,
)
