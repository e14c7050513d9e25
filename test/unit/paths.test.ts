import t from 'tap'
import { bondLines, pathsTable } from '#src/cli/commands/paths.js'
import type { PathsView } from '#src/node/views.js'

type Path = PathsView['peers'][number]['paths'][number]

function path(id: number | null, local: string, txBytes: number): Path {
  return {
    id,
    interface: 'eth0',
    local,
    remote: '192.0.2.7:51820',
    kind: 'direct',
    state: id === null ? 'probing' : 'healthy',
    rttMs: null,
    jitterMs: null,
    lossPct: 0,
    rateMbps: null,
    queueMs: null,
    txBytes,
    rxBytes: null,
    weight: null,
    mtu: 1400,
    gso: true,
    metered: false,
  }
}

function view(...paths: Path[]): PathsView {
  const peer = {
    name: 'b',
    nodeId: null,
    wireguardPublicKey: '',
    state: 'connected' as const,
    innerMtu: 1400,
    scheduler: 'edpf',
    reorderHeld: 0,
    reorderTimeouts: 0,
    repaired: 0,
    duplicates: 0,
    late: 0,
    paths,
  }
  return { schema: 1, peers: [peer] }
}

t.test('what is unmeasured is a dash, and a measured zero is a zero', (t) => {
  const line = pathsTable(view(path(null, '10.0.0.1:1', 0))).split('\n')[1] ?? ''
  t.match(line, /^b +- +eth0 .* probing +- +- +0\.0 %/)
  t.end()
})

t.test('a metered path says so beside its interface', (t) => {
  const metered = { ...path(1, '10.1.0.1:1', 0), metered: true }
  const line = pathsTable(view(metered)).split('\n')[1] ?? ''
  t.match(line, /^b +1 +eth0 \(metered\) +10\.1\.0\.1:1/)
  t.end()
})

t.test('watching shows what each path sends as a bar, the fastest one full', (t) => {
  const before = view(path(0, '10.0.0.1:1', 0), path(1, '10.1.0.1:1', 500))
  const after = view(path(0, '10.0.0.1:1', 1_250_000), path(1, '10.1.0.1:1', 625_500))
  const [, first, second] = pathsTable(after, { view: before, elapsedMs: 1000 }).split('\n')
  t.match(first, /██████████ 10\.0 Mbit\/s$/)
  t.match(second, /█████ {6}5\.0 Mbit\/s$/)
  t.end()
})

t.test('a path that was not there before has no rate yet', (t) => {
  const now = view(path(0, '10.0.0.1:1', 1_250_000))
  const [, line] = pathsTable(now, { view: view(), elapsedMs: 1000 }).split('\n')
  t.match(line, / -$/)
  t.end()
})

t.test('what bonding did for a peer is told below the table', (t) => {
  const [peer] = view().peers
  if (peer === undefined) throw new Error('the view has no peer')
  const busy = { ...peer, reorderHeld: 7, repaired: 3, late: null }
  t.equal(
    bondLines({ schema: 1, peers: [busy] }),
    '\n\nb: edpf, inner MTU 1400; packets held 7, timed out 0, repaired 3, duplicated 0, late -',
  )
  t.end()
})

t.test('while bonding had nothing to do, nothing is told of it', (t) => {
  t.equal(bondLines(view()), '')
  t.end()
})
