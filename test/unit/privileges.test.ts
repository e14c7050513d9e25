import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { ExitCode } from '#src/errors.js'
import { capabilitiesIn, holdsTooMuch, neededCapabilities } from '#src/node/privileges.js'

const fixture = fileURLToPath(new URL('fixtures/reexecute.js', import.meta.url))
const isRoot = process.geteuid?.() === 0 && process.platform === 'linux'
const needsRoot = isRoot ? {} : { skip: 'needs root on Linux' }
const netAdmin = 1n << 12n
const netBindService = 1n << 10n

type Printed = { statuses: string[]; inherited: string | null; holdsTooMuch: boolean }

function run(port: number, secret: string, wrapper: string[] = []): Printed {
  const [command, ...args] = [...wrapper, process.execPath, fixture, String(port), secret]
  const { stdout, stderr, status } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Printed
}

t.test(
  'every thread of the new image has CAP_NET_ADMIN only, and can gain no more',
  needsRoot,
  (t) => {
    const secret = join(t.testdir({ secret: 'inherited' }), 'secret')
    const { statuses, inherited, holdsTooMuch } = run(51820, secret)
    t.ok(statuses.length > 1, 'Node has several threads')
    for (const status of statuses) {
      const sets = capabilitiesIn(status)
      t.same([sets.effective, sets.permitted, sets.bounding], [netAdmin, netAdmin, netAdmin])
      t.equal(sets.inheritable & ~netAdmin, 0n)
      t.match(status, /^NoNewPrivs:\t1$/m)
    }
    t.equal(inherited, 'inherited')
    t.equal(holdsTooMuch, false)
    t.end()
  },
)

t.test('a port below 1024 keeps CAP_NET_BIND_SERVICE too', needsRoot, (t) => {
  const { statuses } = run(53, join(t.testdir({ secret: '' }), 'secret'))
  for (const status of statuses) {
    t.equal(capabilitiesIn(status).effective, netAdmin | netBindService)
  }
  t.end()
})

t.test('a user with ambient CAP_NET_ADMIN is not executed anew', needsRoot, (t) => {
  const user = ['setpriv', '--reuid=65534', '--clear-groups']
  const ambient = ['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin']
  const { statuses, inherited } = run(51820, '/dev/null', [...user, ...ambient])
  t.equal(inherited, null)
  t.equal(capabilitiesIn(statuses[0] ?? '').effective, netAdmin)
  t.end()
})

t.test('capabilities that are too few are an error of permission', (t) => {
  const sets = { effective: 0n, permitted: 0n, inheritable: 0n, bounding: 0n }
  t.throws(() => holdsTooMuch(neededCapabilities(0), sets), {
    code: 'NoPermission',
    exitCode: ExitCode.permission,
  })
  t.end()
})
