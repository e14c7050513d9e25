import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { Client } from '#src/api/client.js'
import type { StreamedEvent } from '#src/api/client.js'
import { serve } from '#src/api/server.js'
import type { Reload } from '#src/api/server.js'
import { claimSocket } from '#src/api/socket.js'
import { parseConfig } from '#src/config/load.js'
import { ExitCode, WhalescaleError } from '#src/errors.js'
import { Agent } from '#src/node/agent.js'
import { logTwin } from '../twins/log.js'
import { NativeTwin } from '../twins/native.js'

const peerId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const text = `[node]\nprivate_key_file = "k"\n[[peer]]\nname = "b"\nnode_id = "${peerId}"\n`

/** The path of a socket holds 107 bytes, fewer than the name of a test. */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'ws-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  return directory
}

async function served(t: Test, reload: Reload = () => Promise.resolve()) {
  const native = new NativeTwin()
  const agent = new Agent(
    parseConfig(text, '/c.toml').config,
    {
      tun: { fd: -1, name: 'whale0', vnetHeader: true },
      keyFd: openSync('/dev/null', 'r'),
      presharedKeys: new Map(),
      timestampFloor: undefined,
    },
    {
      native,
      log: logTwin(),
      lookup: () => Promise.resolve([]),
      storeTimestamp: () => undefined,
      now: () => 0,
    },
  )
  const socket = join(shortDirectory(t), 'w.sock')
  const server = await serve(agent, reload, socket)
  t.teardown(() => server.close())
  return { agent, native, socket, server, client: new Client(socket) }
}

/** Lets everything else run until the condition holds; the test's own timeout ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate)
}

type Raw = { status: number; body: { schema: number; error?: { code: string } } }

function raw(socketPath: string, method: string, path: string, body?: string): Promise<Raw> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ socketPath, method, path }, (incoming) => {
      let answer = ''
      incoming.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
      incoming.on('end', () => {
        resolve({ status: incoming.statusCode ?? 0, body: JSON.parse(answer) as Raw['body'] })
      })
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

t.test('questions are answered on both sockets, with the version of the schema', async (t) => {
  const { socket, client } = await served(t)
  t.match(await client.status(), { schema: 1, interface: 'whale0' })
  t.match(await client.peers(), { schema: 1, peers: [{ name: 'b', nodeId: peerId }] })
  t.match(await client.paths(), { schema: 1, peers: [{ name: 'b', paths: [] }] })
  t.match(await raw(`${socket}.ro`, 'GET', '/v1/status'), { status: 200, body: { schema: 1 } })
})

t.test('the mode of each socket says who may use it', async (t) => {
  const { socket } = await served(t)
  t.equal(statSync(socket).mode & 0o777, 0o600)
  t.equal(statSync(`${socket}.ro`).mode & 0o777, 0o660)
})

t.test('the read-only socket takes no orders', async (t) => {
  const { socket, native } = await served(t)
  const answer = await raw(`${socket}.ro`, 'POST', '/v1/down', '{}')
  t.match(answer, { status: 403, body: { error: { code: 'ReadOnly' } } })
  t.equal(native.closed, 0)
})

t.test('metrics are text for Prometheus, on both sockets', async (t) => {
  const { socket } = await served(t)
  for (const socketPath of [socket, `${socket}.ro`]) {
    const { type, text } = await new Promise<{ type: unknown; text: string }>((resolve, reject) => {
      const outgoing = request({ socketPath, path: '/metrics' }, (incoming) => {
        let answer = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
        incoming.on('end', () => {
          resolve({ type: incoming.headers['content-type'], text: answer })
        })
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
    t.match(type, /^text\/plain; version=0\.0\.4/)
    t.match(text, /^whalescale_uptime_seconds 0$/m)
  }
})

t.test('the event stream begins with what holds now and goes on with what changes', async (t) => {
  const { native, client, server } = await served(t)
  const events: StreamedEvent[] = []
  const stream = await client.follow((event) => events.push(event))
  await until(() => events.length >= 1)
  t.match(events, [{ type: 'peer', peer: 'b', state: 'idle', time: /^\d{4}-/ }])
  native.report({ type: 'Mtu', innerMtu: 1300 })
  await until(() => events.length >= 2)
  t.match(events[1], { type: 'mtu', innerMtu: 1300 })
  await server.close()
  await stream.ended
})

t.test(
  'a client that does not read loses events, which are counted, and holds nothing up',
  async (t) => {
    const { native, socket, client, agent } = await served(t)
    const slow = request({ socketPath: socket, path: '/v1/events' })
    slow.on('error', () => undefined)
    const answer = new Promise<IncomingMessage>((resolve) => slow.once('response', resolve))
    slow.end()
    const incoming = await answer
    incoming.pause()
    const message = 'x'.repeat(10_000)
    for (let count = 0; count < 400; count += 1) {
      agent.events.emit({ type: 'warning', code: 'Test', message })
      if (count % 50 === 0) await new Promise(setImmediate)
    }
    t.match(await client.status(), { schema: 1 }, 'others are served')
    let text = ''
    incoming.on('error', () => undefined)
    incoming
      .setEncoding('utf8')
      .on('data', (chunk: string) => (text += chunk))
      .resume()
    // What was kept is read first; the next event then tells how many were not.
    await until(() => {
      native.report({ type: 'Mtu', innerMtu: 1300 })
      return text.includes('"dropped"')
    })
    const dropped = text.split('\n').find((line) => line.includes('"dropped"')) ?? '{}'
    t.ok((JSON.parse(dropped) as { count: number }).count > 0)
    slow.destroy()
  },
)

t.test('there are no more event streams than a machine needs', async (t) => {
  const { client } = await served(t)
  const streams = await Promise.all(
    Array.from({ length: 16 }, () => client.follow(() => undefined)),
  )
  await t.rejects(
    client.follow(() => undefined),
    { code: 'NoEvents' },
  )
  for (const stream of streams) stream.close()
})

t.test('the cache and checks need the mesh, and say so without it', async (t) => {
  const { client } = await served(t)
  await t.rejects(client.lkg(), { code: 'NotJoined' })
  await t.rejects(client.check('b', null), { code: 'NotJoined' })
})

t.test('down stops the agent', async (t) => {
  const { agent, client, native } = await served(t)
  await client.down()
  t.equal(await agent.ended, ExitCode.ok)
  t.equal(native.closed, 1)
})

t.test('an error crosses with its code, remedy and exit code', async (t) => {
  const { client, native } = await served(t, () =>
    Promise.reject(
      new WhalescaleError('no', { code: 'BadConfig', remedy: 'do', exitCode: ExitCode.usage }),
    ),
  )
  const expected = { code: 'BadConfig', message: 'no', remedy: 'do', exitCode: ExitCode.usage }
  await t.rejects(client.reload('x', '/c.toml'), expected)
  native.answerPing = (id, token) => ({ type: 'PingTimeout', id, token })
  await t.rejects(client.ping('b'), { code: 'PeerUnreachable', exitCode: ExitCode.unreachable })
})

t.test('reload gets the content and the name of the file', async (t) => {
  const seen: string[] = []
  const { client } = await served(t, (content, file) => {
    seen.push(content, file)
    return Promise.resolve()
  })
  await client.reload('text', '/c.toml')
  t.same(seen, ['text', '/c.toml'])
})

t.test('what is no request is refused with a reason', async (t) => {
  const { socket } = await served(t)
  const post = (body: string): Promise<Raw> => raw(socket, 'POST', '/v1/ping', body)
  const refused = { status: 400, body: { error: { code: 'BadRequest' } } }
  for (const body of ['{', '3', '[]', '{}', '{"peer":3}', 'null'])
    t.match(await post(body), refused)
  t.match(await raw(socket, 'GET', '/v1/ping'), refused)
  t.match(await raw(socket, 'POST', '/v1/status', '{}'), refused)
  t.match(await raw(socket, 'GET', '/nothing'), refused)
})

t.test('a body beyond the limit is refused', async (t) => {
  const { socket } = await served(t)
  const body = JSON.stringify({ peer: 'x'.repeat(8 * 1024 * 1024) })
  const answer = await raw(socket, 'POST', '/v1/ping', body).catch((error: unknown) => error)
  // The server may close before it has read everything, which is a refusal too.
  if (!(answer instanceof Error)) t.match(answer, { status: 400 })
  t.match(await raw(socket, 'GET', '/v1/status'), { status: 200 })
})

t.test('closing removes both sockets', async (t) => {
  const { socket, server } = await served(t)
  await server.close()
  t.notOk(existsSync(socket))
  t.notOk(existsSync(`${socket}.ro`))
})

t.test('without an agent the error says so, with exit code 3', async (t) => {
  const socket = join(shortDirectory(t), 'none.sock')
  await t.rejects(new Client(socket).status(), {
    code: 'NotRunning',
    exitCode: ExitCode.notRunning,
  })
})

t.test('a socket that a killed agent left is made free', async (t) => {
  const socket = join(shortDirectory(t), 'w.sock')
  writeFileSync(`${socket}.ro`, '')
  const leave = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', leave])
  t.ok(existsSync(socket))
  await claimSocket(socket)
  t.notOk(existsSync(socket))
  t.notOk(existsSync(`${socket}.ro`))
})

t.test('a socket on which an agent answers is not taken from it', async (t) => {
  const socket = join(shortDirectory(t), 'w.sock')
  const other = createServer().listen(socket)
  t.teardown(() => other.close())
  await new Promise((resolve) => other.once('listening', resolve))
  await t.rejects(claimSocket(socket), { code: 'AgentRunning', remedy: /whalescale down/ })
  t.ok(existsSync(socket))
})
