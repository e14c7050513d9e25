import t from 'tap'
import { metricsText } from '#src/api/metrics.js'
import { parseConfig } from '#src/config/load.js'
import { pathsView, statusView } from '#src/node/views.js'
import type { Snapshot } from '#src/node/views.js'
import { identity, idleStats } from '../twins/native.js'

const peerId = '25njqamcweflpvkl73j4szahhihoc4xt3ktcgjnpaingr5yhkena'
const text = `[node]\nprivate_key_file = "k"\n[[peer]]\nname = "b"\nnode_id = "${peerId}"\n`

const snapshot: Snapshot = {
  config: parseConfig(text, '/c.toml').config,
  identity,
  stats: { ...idleStats, drops: { outNoRoute: 3 } },
  uptimeMs: 1500,
  eventsDropped: 0,
  mesh: null,
  candidates: () => null,
}

const textOf = (of: Snapshot): string => metricsText(statusView(of), pathsView(of))

t.test('each family has its help, type and samples, and seconds are seconds', (t) => {
  const metrics = textOf(snapshot)
  t.match(
    metrics,
    '# TYPE whalescale_drops_total counter\nwhalescale_drops_total{reason="outNoRoute"} 3\n',
  )
  t.match(metrics, 'whalescale_uptime_seconds 1.5\n')
  t.match(metrics, 'whalescale_peer_connected{peer="b"} 0\n')
  t.end()
})

t.test('what is unmeasured is left out with its family', (t) => {
  const metrics = textOf(snapshot)
  t.notMatch(metrics, 'peer_handshake_age_seconds')
  t.notMatch(metrics, 'mesh_members')
  t.notMatch(metrics, 'null')
  t.end()
})

t.test('the mesh is counted by state and reason', (t) => {
  const member = { state: 'joined', suspected: false, anchor: false, sequence: 1 } as const
  const metrics = textOf({
    ...snapshot,
    mesh: {
      ...{ phase: 'joined', sequence: 4, endpoints: [], health: 0, rejections: { stale: 2 } },
      anchors: { live: [peerId], recommended: [], warnings: [] },
      members: [{ ...member, nodeId: peerId, endpoints: [], metadata: {}, observed: [] }],
    },
  })
  t.match(metrics, 'whalescale_mesh_members{state="joined"} 1\n')
  t.match(metrics, 'whalescale_mesh_anchors_live 1\n')
  t.match(metrics, 'whalescale_gossip_rejections_total{reason="stale"} 2\n')
  t.end()
})

t.test('labels are escaped and every line is well formed', (t) => {
  const { stats } = snapshot
  const drops = { 'a"b\\c\nd': 1 }
  const metrics = textOf({ ...snapshot, stats: { ...stats, drops } })
  t.match(metrics, 'reason="a\\"b\\\\c\\nd"')
  const line = /^(# (HELP|TYPE) \S+ .+|[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? -?[0-9.e+]+)$/
  for (const written of metrics.trimEnd().split('\n')) t.match(written, line)
  t.end()
})
