/** What `up` refuses: one clear line with place and remedy, the right exit code, and nothing changed. */
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { Test } from 'tap'
import { configure, makeNode, overlayA, port, toml } from '../bed/agent.js'
import type { NodeFiles } from '../bed/agent.js'
import { entry, finished, makeBed, until, whalescale } from '../bed/bed.js'
import type { Bed, Finished } from '../bed/bed.js'
import { unless } from './requirements.js'

const skip = unless('setpriv', 'unshare')
const options = { skip, timeout: 200_000 }
const nobody = '65534'

type Case = { readonly bed: Bed; readonly node: NodeFiles; readonly text: string }

async function makeCase(t: Test): Promise<Case> {
  const bed = await makeBed(t)
  const node = await makeNode(bed, await bed.namespace('a'), 'a')
  const peer = await makeNode(bed, node.namespace, 'b')
  const { nodeId } = peer.identity
  const plan = {
    addresses: [`${overlayA}/24`],
    peers: [{ name: 'b', nodeId, allowedIps: ['10.88.0.2/32'] }],
  }
  configure(node, plan)
  return { bed, node, text: toml(node, plan) }
}

/** Where a line of the configuration stands, from 1. */
function lineOf(node: NodeFiles, part: string): number {
  const lines = readFileSync(node.configFile, 'utf8').split('\n')
  return lines.findIndex((line) => line.includes(part)) + 1
}

async function refused(t: Test, node: NodeFiles, result: Finished): Promise<void> {
  t.equal(result.stdout, '', 'nothing on standard output')
  t.equal(result.stderr.split('\n').length, 2, `one line: ${result.stderr}`)
  t.match(result.stderr, /^whalescale: .*; .+\n$/, 'what is wrong; what to do')
  t.notOk(existsSync(node.controlSocket), 'there is no socket')
  const links = await node.namespace.exec('ip', ['-o', 'link'])
  t.notMatch(links.stdout, /whale0/, 'there is no interface')
}

type Wrong = {
  readonly what: string
  readonly edit: (text: string) => string
  /** A part of the line at fault. */
  readonly at: string
  readonly says: RegExp
}

const wrongs: readonly Wrong[] = [
  {
    what: 'an unknown key',
    edit: (text) => text.replace('name = "b"', 'name = "b"\nspeed = 9'),
    at: 'speed',
    says: /unknown key; remove it/,
  },
  {
    what: 'a bad node id',
    edit: (text) => text.replace(/node_id = "./, 'node_id = "!'),
    at: 'node_id',
    says: /node_id/,
  },
  {
    what: 'overlapping allowed IPs',
    edit: (text) =>
      `${text}\n[[peer]]\nname = "c"\nwireguard_public_key = "2F4H7CKwrYgVN8L0TWYtGhQ8+DDFespDBdhcepD2ti4="\nallowed_ips = ["10.88.0.2/32"]\n`,
    at: '"c"',
    says: /10\.88\.0\.2\/32 overlaps/,
  },
  {
    what: 'a missing key file',
    edit: (text) => text.replace('a.key', 'absent.key'),
    at: 'private_key_file',
    says: /absent\.key does not exist; make it with/,
  },
  {
    what: 'broken TOML',
    edit: (text) => text.replace('listen_port = ', 'listen_port == '),
    at: 'listen_port',
    says: /correct the TOML/,
  },
]

for (const { what, edit, at, says } of wrongs) {
  void t.test(`"up" refuses ${what} with its file and line`, options, async (t) => {
    const { node, text } = await makeCase(t)
    writeFileSync(node.configFile, edit(text))
    const result = await whalescale(node.namespace, ['up', node.configFile])
    t.equal(result.code, 2)
    const line = at === '"c"' ? lineOf(node, at) + 2 : lineOf(node, at)
    t.match(result.stderr, `${node.configFile}:${line}: `)
    t.match(result.stderr, says)
    await refused(t, node, result)
  })
}

void t.test('"up" refuses a key file that others can read', options, async (t) => {
  const { node } = await makeCase(t)
  chmodSync(node.keyFile, 0o644)
  const result = await whalescale(node.namespace, ['up', node.configFile])
  t.equal(result.code, 2)
  t.match(result.stderr, `${node.configFile}:${lineOf(node, 'private_key_file')}: `)
  t.match(result.stderr, /mode 0644\); run: chmod 600/)
  await refused(t, node, result)
})

void t.test('"up" refuses a port that is in use', options, async (t) => {
  const { node } = await makeCase(t)
  const holder = `require('dgram').createSocket('udp4').bind(${port}, () => console.log('ready'))`
  const holding = node.namespace.spawn(process.execPath, ['-e', holder])
  await until('the port is taken', () => holding.output().stdout.includes('ready'))
  const result = await whalescale(node.namespace, ['up', node.configFile])
  t.equal(result.code, 2)
  t.match(result.stderr, `${node.configFile}:${lineOf(node, 'listen_port')}: `)
  t.match(result.stderr, /UDP port 51820 is in use; /)
  await refused(t, node, result)
})

void t.test(
  '"up" refuses an interface name that is taken, and leaves its owner alone',
  options,
  async (t) => {
    const { node } = await makeCase(t)
    await node.namespace.exec('ip', [
      'link',
      'add',
      'whale0',
      'type',
      'veth',
      'peer',
      'name',
      'other',
    ])
    const result = await whalescale(node.namespace, ['up', node.configFile])
    t.equal(result.code, 2)
    t.match(result.stderr, `${node.configFile}:${lineOf(node, '[node]')}: `)
    t.match(result.stderr, /interface whale0 exists already; /)
    const { stdout } = await node.namespace.exec('ip', ['-d', 'link', 'show', 'whale0'])
    t.match(stdout, /veth/)
    await node.namespace.exec('ip', ['link', 'delete', 'whale0'])
    await refused(t, node, result)
  },
)

void t.test('"up" names the remedy where there is no /dev/net/tun', options, async (t) => {
  const { node } = await makeCase(t)
  const hide = 'mount -t tmpfs none /dev/net && exec "$@"'
  const args = ['-m', 'sh', '-c', hide, 'sh', process.execPath, entry, 'up', node.configFile]
  const result = await finished(node.namespace.spawn('unshare', args))
  t.equal(result.code, 1)
  t.match(
    result.stderr,
    /\/dev\/net\/tun is missing .*; load the kernel module with "modprobe tun"/,
  )
  await refused(t, node, result)
})

void t.test('"up" without the right to administer the network exits with 5', options, async (t) => {
  const { bed, node } = await makeCase(t)
  // Everything but the right: its own directory and files.
  await node.namespace.exec('chown', ['-R', `${nobody}:${nobody}`, bed.directory])
  const become = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
  const args = [...become, process.execPath, entry, 'up', node.configFile]
  const result = await finished(node.namespace.spawn('setpriv', args))
  t.equal(result.code, 5)
  t.match(result.stderr, /run as root/)
  await refused(t, node, result)
})

void t.test('a command for an agent of somebody else exits with 5', options, async (t) => {
  const { bed, node } = await makeCase(t)
  chmodSync(bed.directory, 0o755)
  const running = node.namespace.spawn(process.execPath, [entry, 'up', node.configFile])
  await until('the agent listens', () => existsSync(node.controlSocket))
  const become = [`--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups']
  const args = [...become, process.execPath, entry, 'down', '--socket', node.controlSocket]
  const { code, stderr } = await finished(node.namespace.spawn('setpriv', args))
  t.equal(code, 5)
  t.match(stderr, /may not be used; /)
  t.equal(await running.stop(), 0)
})
