import t from 'tap'
import { examine } from '#src/cli/doctor/checks.js'
import type { Gathered } from '#src/cli/doctor/checks.js'
import { parseConfig } from '#src/config/load.js'
import { statusView } from '#src/node/views.js'
import type { Snapshot } from '#src/node/views.js'
import { identity, idleStats } from '../twins/native.js'

const [socket] = idleStats.udp
const udp = (name: string) => ({ ...socket, interface: name }) as Snapshot['stats']['udp'][number]
const mesh: NonNullable<Snapshot['mesh']> = {
  ...{ phase: 'joined', sequence: 1, endpoints: [], health: 0, members: [], rejections: {} },
  anchors: { live: ['one', 'two'], recommended: ['one', 'two'], warnings: [] },
}
const snapshot: Snapshot = {
  config: parseConfig('[node]\nprivate_key_file = "k"\nstate_dir = "/s"\n', '/c.toml').config,
  identity,
  stats: { ...idleStats, udp: [udp('eth0'), udp('wlan0')] },
  ...{ uptimeMs: 1, eventsDropped: 0, mesh, candidates: () => null },
}
const netAdmin = 'CapEff:\t0000000000001000\n'
const sound: Gathered = {
  status: statusView(snapshot),
  now: Date.UTC(2026, 10, 21),
  timestamp: undefined,
  reversePathFilters: { all: 0, eth0: 2, wlan0: 0 },
  stateDirectory: { mode: 0o40700, uid: 0 },
  threads: [netAdmin, netAdmin],
}

/** What one check says. */
function verdictOf(check: string, gathered: Partial<Gathered>) {
  return examine({ ...sound, ...gathered }).filter((finding) => finding.check === check)
}

const withAnchors = (anchors: Partial<typeof mesh.anchors>): Partial<Gathered> => ({
  status: statusView({ ...snapshot, mesh: { ...mesh, anchors: { ...mesh.anchors, ...anchors } } }),
})

t.test('on a sound machine every check is ok and none has a remedy', (t) => {
  const findings = examine(sound)
  t.same(
    findings.filter(({ verdict, remedy }) => verdict !== 'ok' || remedy !== null),
    [],
  )
  t.same(
    findings.map(({ check }) => check),
    [
      ...['agent', 'anchors', 'clock', 'reverse path filter', 'state directory', 'capabilities'],
      'offloads',
    ],
  )
  t.end()
})

t.test('without an agent, what can be checked is checked', (t) => {
  const findings = examine({ ...sound, status: null, threads: null, stateDirectory: null })
  t.match(findings[0], { check: 'agent', verdict: 'fail', remedy: /whalescale up/ })
  t.ok(findings.some(({ check }) => check === 'clock'))
  t.end()
})

t.test('one anchor left is a warning, none is a failure', (t) => {
  const one = [{ code: 'OneAnchor', message: 'one is left' }] as const
  const none = [{ code: 'NoAnchor', message: 'none is left' }] as const
  t.match(verdictOf('anchors', withAnchors({ warnings: one })), [{ verdict: 'warn' }])
  t.match(verdictOf('anchors', withAnchors({ warnings: none })), [{ verdict: 'fail' }])
  t.end()
})

t.test('a clock behind the last handshake, or in the past, is told', (t) => {
  const seconds = (sound.now / 1000 + 3600).toString(16).padStart(15, '0')
  const timestamp = `4${seconds}00000000`
  t.match(verdictOf('clock', { timestamp }), [{ verdict: 'warn', what: /3590 s behind/ }])
  t.match(verdictOf('clock', { now: 0 }), [{ verdict: 'fail' }])
  t.match(verdictOf('clock', { timestamp: null }), [{ verdict: 'ok' }])
  t.end()
})

t.test('strict filtering matters where there are two interfaces', (t) => {
  const strict = { all: 1, eth0: 0, wlan0: 2 }
  t.match(verdictOf('reverse path filter', { reversePathFilters: strict }), [
    { verdict: 'warn', what: /^eth0 /, remedy: /eth0\.rp_filter=2/ },
  ])
  const single = statusView({ ...snapshot, stats: { ...idleStats, udp: [udp('eth0')] } })
  t.same(verdictOf('reverse path filter', { status: single, reversePathFilters: strict }), [])
  t.end()
})

t.test('an open state directory fails, too few or many capabilities are told', (t) => {
  t.match(verdictOf('state directory', { stateDirectory: { mode: 0o40755, uid: 0 } }), [
    { verdict: 'fail', remedy: 'run: chmod 700 /s' },
  ])
  const none = 'CapEff:\t0000000000000000\n'
  t.match(verdictOf('capabilities', { threads: [netAdmin, none] }), [{ verdict: 'fail' }])
  const all = 'CapEff:\t000001ffffffffff\n'
  t.match(verdictOf('capabilities', { threads: [all] }), [{ verdict: 'warn' }])
  t.end()
})

t.test('missing offloads are a warning', (t) => {
  const stats = { ...idleStats, tun: { ...idleStats.tun, tso: false } }
  t.match(verdictOf('offloads', { status: statusView({ ...snapshot, stats }) }), [
    { verdict: 'warn', what: /TCP segmentation/ },
  ])
  t.end()
})
