import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { ConfigError } from '#src/config/error.js'
import { closeSecrets, openSecrets, parseConfig, readConfigText } from '#src/config/load.js'
import { configurationKeys } from '#src/config/reference.js'
import { ExitCode, WhalescaleError } from '#src/errors.js'

const nodeId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const imageOfNodeId = '2F4H7CKwrYgVN8L0TWYtGhQ8+DDFespDBdhcepD2ti4='
const otherKey = 'HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw='

const head = `[node]
private_key_file = "a.key"
`

/** The lines of what is wrong with a file. */
function errorsOf(text: string): string[] {
  try {
    parseConfig(text, 'c.toml')
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    if (error.exitCode !== ExitCode.usage) throw new Error('wrong exit code', { cause: error })
    return error.message.split('\n')
  }
  return []
}

t.test('a full file is understood', (t) => {
  const { config } = parseConfig(
    `[node]
name = "laptop"
private_key_file = "laptop.key"
addresses = ["10.88.0.1/24", "fd00::1"]
interface = "whale1"
listen_port = 0
mtu = 1400
state_dir = "state"
control_socket = "/tmp/w.sock"

[multipath]
scheduler = "wrr"
depth = 128

[[peer]]
name = "anchor"
node_id = "${nodeId}"
endpoints = ["203.0.113.7:51820", "home.example.net:51820"]
allowed_ips = ["10.88.0.2/32", "10.99.1.1/16"]
anchor = true
preshared_key_file = "anchor.psk"
persistent_keepalive_s = 25

[[peer]]
wireguard_public_key = "${otherKey}"
`,
    '/etc/whalescale/c.toml',
  )
  t.match(config, {
    name: 'laptop',
    privateKeyFile: '/etc/whalescale/laptop.key',
    addresses: ['10.88.0.1/24', 'fd00::1/128'],
    interface: 'whale1',
    listenPort: 0,
    mtu: 1400,
    stateDir: '/etc/whalescale/state',
    scheduler: 'wrr',
    depth: 128,
  })
  t.same(config.peers[0], {
    id: nodeId,
    name: 'anchor',
    nodeId,
    wireguardPublicKey: imageOfNodeId,
    endpoints: [
      { host: '203.0.113.7', port: 51820 },
      { host: 'home.example.net', port: 51820 },
    ],
    allowedIps: ['10.88.0.2/32', '10.99.0.0/16'],
    anchor: true,
    presharedKeyFile: '/etc/whalescale/anchor.psk',
    persistentKeepaliveS: 25,
  })
  t.match(config.peers[1], { id: otherKey, name: otherKey, nodeId: null })
  t.end()
})

t.test('what is left out takes the defaults of the contract', (t) => {
  t.match(parseConfig(head, 'c.toml').config, {
    interface: 'whale0',
    listenPort: 51820,
    mtu: 'auto',
    stateDir: '/var/lib/whalescale',
    controlSocket: '/run/whalescale/whalescale.sock',
    scheduler: 'edpf',
    depth: 'auto',
    peers: [],
  })
  t.end()
})

const mistakes: [name: string, text: string, expected: RegExp][] = [
  ['an unknown key', `${head}mtuu = 3\n`, /^c\.toml:3: node\.mtuu: unknown key; .*mtu,/],
  ['an unknown table', `${head}[nodes]\n`, /^c\.toml:3: nodes: unknown key; .*peer/],
  ['a missing key file', '[node]\n', /^c\.toml:1: node\.private_key_file: is missing; add it/],
  ['a missing table', '', /^c\.toml:1: node: is missing/],
  ['broken TOML', `${head}x = ]\n`, /^c\.toml:3: .*; correct the TOML$/],
  [
    'a wrong type',
    `${head}listen_port = "x"\n`,
    /^c\.toml:3: node\.listen_port: a string does not/,
  ],
  ['a port out of range', `${head}listen_port = 65536\n`, /:3: .*; it must be at most 65535$/],
  [
    'more endpoints than are tried',
    `${head}[[peer]]\nnode_id = "${nodeId}"\nendpoints = [${'"192.0.2.1:1", '.repeat(9)}]\n`,
    /^c\.toml:5: peer\.0\.endpoints: 9 entries are too many; keep at most 8$/,
  ],
  ['a small MTU', `${head}mtu = 1000\n`, /:3: node\.mtu: .*; it must be at least 1280$/],
  [
    'a bad address',
    `${head}addresses = ["10.0.0.1/40"]\n`,
    /:3: node\.addresses\.0: .*no IP prefix/,
  ],
  [
    'a long interface',
    `${head}interface = "abcdefghijklmnop"\n`,
    /:3: .*no interface name; use at/,
  ],
  [
    'a long control socket',
    `${head}control_socket = "/${'x'.repeat(104)}"\n`,
    /^c\.toml:3: node\.control_socket: .* too long for a socket; name one/,
  ],
  ['no depth', `${head}[multipath]\ndepth = 0\n`, /:4: multipath\.depth: /],
  ['a bad scheduler', `${head}[multipath]\nscheduler = "x"\n`, /:4: .*one of "edpf", "wrr"/],
  [
    'a bad node id',
    `${head}[[peer]]\nnode_id = "abc"\n`,
    /^c\.toml:4: peer\.0\.node_id: "abc" is not 52 .*; print it with "whalescale id" there$/,
  ],
  [
    'a bad WireGuard key',
    `${head}[[peer]]\nwireguard_public_key = "abc"\n`,
    /^c\.toml:4: peer\.0\.wireguard_public_key: .*; print it with "wg show" on the peer$/,
  ],
  [
    'a peer without a key',
    `${head}[[peer]]\nname = "x"\n`,
    /^c\.toml:3: peer\.0: peer x names no key/,
  ],
  [
    'a peer with two keys',
    `${head}[[peer]]\nnode_id = "${nodeId}"\nwireguard_public_key = "${otherKey}"\n`,
    /^c\.toml:3: .*names both a node id and a WireGuard key/,
  ],
  [
    'a peer given twice, once by its image',
    `${head}[[peer]]\nnode_id = "${nodeId}"\n[[peer]]\nwireguard_public_key = "${imageOfNodeId}"\n`,
    /^c\.toml:6: peer\.1\.wireguard_public_key: this is the key of peer number 1 already/,
  ],
  [
    'two peers of one name',
    `${head}[[peer]]\nname = "x"\nnode_id = "${nodeId}"\n[[peer]]\nname = "x"\nwireguard_public_key = "${otherKey}"\n`,
    /^c\.toml:7: peer\.1\.name: another peer is called x already/,
  ],
  [
    'overlapping allowed IPs',
    `${head}[[peer]]\nnode_id = "${nodeId}"\nallowed_ips = ["10.0.0.0/8"]\n[[peer]]\nwireguard_public_key = "${otherKey}"\nallowed_ips = [\n  "10.3.0.0/16",\n]\n`,
    /^c\.toml:9: peer\.1\.allowed_ips\.0: 10\.3\.0\.0\/16 overlaps 10\.0\.0\.0\/8 of peer number 1; give/,
  ],
  [
    'an endpoint inside the tunnel',
    `${head}[[peer]]\nnode_id = "${nodeId}"\nendpoints = ["10.0.0.7:1"]\nallowed_ips = ["10.0.0.0/8"]\n`,
    /^c\.toml:5: peer\.0\.endpoints\.0: .*the tunnel would carry itself; use an address/,
  ],
  [
    'an own address given to a peer',
    `${head}addresses = ["10.0.0.1/24"]\n[[peer]]\nnode_id = "${nodeId}"\nallowed_ips = ["10.0.0.1/32"]\n`,
    /^c\.toml:3: node\.addresses\.0: 10\.0\.0\.1\/24 is given to peer number 1 too/,
  ],
  [
    'a bad endpoint',
    `${head}[[peer]]\nnode_id = "${nodeId}"\nendpoints = ["x"]\n`,
    /:5: .*no endpoint/,
  ],
]

for (const [name, text, expected] of mistakes) {
  t.test(`${name} is one line with place and remedy`, (t) => {
    const errors = errorsOf(text)
    t.equal(errors.length, 1)
    t.match(errors[0], expected)
    t.end()
  })
}

t.test('all errors are told at once, in the order of the file', (t) => {
  const errors = errorsOf(`[node]
listen_port = -1
colour = "red"
[[peer]]
node_id = "x"
`)
  t.same(
    errors.map((line) => line.split(':')[1]),
    ['1', '2', '3', '5'],
  )
  t.end()
})

t.test('every key has a description', (t) => {
  for (const { key, description } of configurationKeys()) t.not(description, '', key)
  t.end()
})

t.test('a file that is not there is a usage error that names it', (t) => {
  t.throws(() => readConfigText('/nowhere/c.toml'), {
    code: 'UnreadableConfig',
    exitCode: ExitCode.usage,
    message: /^\/nowhere\/c\.toml:1: /,
  })
  t.end()
})

t.test('a secret open to others is told with its line, mode and remedy', (t) => {
  const directory = t.testdir({ 'a.key': 'secret', 'b.psk': 'secret' })
  const file = join(directory, 'c.toml')
  const text = `${head}[[peer]]\nnode_id = "${nodeId}"\npreshared_key_file = "b.psk"\n`
  const { config, toml } = parseConfig(text, file)
  const failure = (): WhalescaleError | undefined => {
    try {
      closeSecrets(openSecrets(config, toml, 'all'))
      return undefined
    } catch (error) {
      if (error instanceof WhalescaleError) return error
      throw error
    }
  }
  chmodSync(join(directory, 'a.key'), 0o600)
  chmodSync(join(directory, 'b.psk'), 0o640)
  t.match(failure(), {
    exitCode: ExitCode.usage,
    message:
      /c\.toml:5: peer\.0\.preshared_key_file: .*b\.psk is open to others \(mode 0640\); run: chmod 600/,
  })
  chmodSync(join(directory, 'b.psk'), 0o600)
  t.equal(failure(), undefined)
  chmodSync(join(directory, 'a.key'), 0o604)
  t.match(failure()?.message, /c\.toml:2: node\.private_key_file: .*mode 0604/)
  t.end()
})

t.test('a key file that is missing or is no file is told with its line', (t) => {
  const directory = t.testdir({})
  const { config, toml } = parseConfig(head, join(directory, 'c.toml'))
  const open = (): unknown => openSecrets(config, toml, 'all')
  t.throws(open, { message: /:2: node\.private_key_file: .*a\.key does not exist; make it with/ })
  mkdirSync(join(directory, 'a.key'))
  t.throws(open, { message: /is not a regular file/ })
  t.end()
})

t.test('a file too large to be a configuration is not read', (t) => {
  const directory = t.testdir({})
  const file = join(directory, 'c.toml')
  writeFileSync(file, Buffer.alloc(4 * 1024 * 1024 + 1, '#'))
  t.throws(() => readConfigText(file), { message: /larger than/ })
  t.end()
})
