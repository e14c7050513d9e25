import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ExitCode } from '#src/errors.js'
import { tunOpener } from '#src/tun/tun.js'

const fixture = fileURLToPath(new URL('fixtures/open-tun.js', import.meta.url))
const isRoot = process.geteuid?.() === 0 && process.platform === 'linux'
const needsRoot = isRoot ? {} : { skip: 'needs root on Linux' }

/** What opening each device gives, in a network namespace of its own. */
function open(names: string[], wrapper: string[] = []): unknown[] {
  const args = ['--net', ...wrapper, process.execPath, fixture, ...names]
  const { stdout, stderr, status } = spawnSync('unshare', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown)
}

t.test('a TUN device comes with the virtio header', needsRoot, (t) => {
  t.same(open(['whale7']), [{ name: 'whale7', vnetHeader: true }])
  t.end()
})

t.test('a name that is taken is told with a remedy', needsRoot, (t) => {
  t.match(open(['whale7', 'whale7']), [
    { name: 'whale7' },
    { code: 'TunBusy', line: /^interface whale7 exists already; set another \[node\] interface/ },
  ])
  t.end()
})

t.test('without CAP_NET_ADMIN the error is one of permission', needsRoot, (t) => {
  const without = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin']
  t.match(open(['whale7'], without), [
    { code: 'NoPermission', exitCode: ExitCode.permission, line: /; run as root/ },
  ])
  t.end()
})

t.test('a machine without /dev/net/tun is told how to get it', needsRoot, (t) => {
  const hide = ['--mount', 'sh', '-c', 'mount -t tmpfs none /dev/net && exec "$@"', 'sh']
  t.match(open(['whale7'], hide), [
    { code: 'NoTun', line: /\/dev\/net\/tun is missing.*modprobe tun/ },
  ])
  t.end()
})

t.test('systems to come say clearly that they are not supported yet', async (t) => {
  for (const platform of ['darwin', 'win32']) {
    const openTun = await tunOpener(platform)
    t.throws(() => openTun('whale7'), { code: 'UnsupportedPlatform', message: /not supported yet/ })
  }
  await t.rejects(tunOpener('plan9'), { code: 'UnsupportedPlatform' })
})
