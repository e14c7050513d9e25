/**
 * The agent's counters in the Prometheus text format 0.0.4. What is unmeasured is left out. Labels are
 * names of the configuration and addresses, so their number is bounded by the configuration.
 */
import type { PathsView, StatusView } from '../node/views.js'

export const metricsType = 'text/plain; version=0.0.4; charset=utf-8'

type Labels = Readonly<Record<string, string>>
type Sample = readonly [labels: Labels, value: number | null]

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

function lineOf(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
}

/** One family with its samples; empty when nothing of it is measured. */
function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: readonly Sample[],
): string[] {
  const lines = samples.flatMap(([labels, value]) =>
    value === null ? [] : [lineOf(`whalescale_${name}`, labels, value)],
  )
  if (lines.length === 0) return []
  return [`# HELP whalescale_${name} ${help}`, `# TYPE whalescale_${name} ${type}`, ...lines]
}

const seconds = (milliseconds: number | null): number | null =>
  milliseconds === null ? null : milliseconds / 1000

function agentLines(status: StatusView): string[] {
  const drops = Object.entries(status.drops).map(([reason, count]): Sample => [{ reason }, count])
  const sockets = status.udp.map((udp): Sample => [{ socket: udp.local }, udp.kernelDrops])
  const info = { node_id: status.nodeId, cipher: status.aead, interface: status.interface }
  return [
    ...family('info', 'gauge', 'Who this node is.', [[info, 1]]),
    ...family('uptime_seconds', 'gauge', 'Since the agent started.', [
      [{}, seconds(status.uptimeMs)],
    ]),
    ...family('inner_mtu_bytes', 'gauge', 'MTU inside the tunnel.', [[{}, status.innerMtu]]),
    ...family('drops_total', 'counter', 'Packets dropped, by reason.', drops),
    ...family('kernel_drops_total', 'counter', 'Packets the kernel dropped.', sockets),
    ...family('events_dropped_total', 'counter', 'News of the addon that were lost.', [
      [{}, status.eventsDropped],
    ]),
  ]
}

function peerLines({ peers }: StatusView): string[] {
  const of = (value: (peer: StatusView['peers'][number]) => number | null): Sample[] =>
    peers.map((peer) => [{ peer: peer.name }, value(peer)])
  return [
    ...family(
      ...(['peer_connected', 'gauge', 'Whether there is a session.'] as const),
      of(({ state }) => (state === 'connected' ? 1 : 0)),
    ),
    ...family(
      ...(['peer_transmit_bytes_total', 'counter', 'Bytes sent to a peer.'] as const),
      of(({ txBytes }) => txBytes),
    ),
    ...family(
      ...(['peer_receive_bytes_total', 'counter', 'Bytes received from a peer.'] as const),
      of(({ rxBytes }) => rxBytes),
    ),
    ...family(
      ...(['peer_transmit_packets_total', 'counter', 'Packets sent to a peer.'] as const),
      of(({ txPackets }) => txPackets),
    ),
    ...family(
      ...(['peer_receive_packets_total', 'counter', 'Packets received from a peer.'] as const),
      of(({ rxPackets }) => rxPackets),
    ),
    ...family(
      ...(['peer_handshake_age_seconds', 'gauge', 'Age of the session.'] as const),
      of(({ latestHandshakeMs }) => seconds(latestHandshakeMs)),
    ),
  ]
}

function pathLines({ peers }: PathsView): string[] {
  type Peer = PathsView['peers'][number]
  const perPeer = (value: (peer: Peer) => number | null): Sample[] =>
    peers.map((peer) => [{ peer: peer.name }, value(peer)])
  const perPath = (value: (path: Peer['paths'][number]) => number | null): Sample[] =>
    peers.flatMap((peer) =>
      peer.paths.map((path): Sample => {
        const { remote, kind } = path
        const names = { interface: path.interface ?? '', local: path.local ?? '' }
        return [{ peer: peer.name, ...names, remote, kind }, value(path)]
      }),
    )
  const percent = (value: number | null): number | null => value && value / 100
  return [
    ...family(
      ...(['repaired_total', 'counter', 'Lost packets sent again.'] as const),
      perPeer(({ repaired }) => repaired),
    ),
    ...family(
      ...(['reorder_timeouts_total', 'counter', 'Gaps given up at their deadline.'] as const),
      perPeer(({ reorderTimeouts }) => reorderTimeouts),
    ),
    ...family(
      ...(['path_up', 'gauge', 'Whether a path is fit to carry.'] as const),
      perPath(({ state }) => (state === 'healthy' || state === 'standby' ? 1 : 0)),
    ),
    ...family(
      ...(['path_transmit_bytes_total', 'counter', 'Bytes sent on a path.'] as const),
      perPath(({ txBytes }) => txBytes),
    ),
    ...family(
      ...(['path_rtt_seconds', 'gauge', 'Round-trip time of a path.'] as const),
      perPath(({ rttMs }) => seconds(rttMs)),
    ),
    ...family(
      ...(['path_loss_ratio', 'gauge', 'Share of packets a path loses.'] as const),
      perPath(({ lossPct }) => percent(lossPct)),
    ),
    ...family(
      ...(['path_rate_bits_per_second', 'gauge', 'Estimated rate of a path.'] as const),
      perPath(({ rateMbps }) => rateMbps && rateMbps * 1e6),
    ),
  ]
}

function meshLines({ mesh, peers }: StatusView): string[] {
  if (mesh === null) return []
  const states = new Map<string, number>()
  for (const { mesh: member } of peers) {
    if (member !== null) states.set(member.state, (states.get(member.state) ?? 0) + 1)
  }
  const members = [...states].map(([state, count]): Sample => [{ state }, count])
  const rejections = Object.entries(mesh.rejections)
  return [
    ...family('mesh_members', 'gauge', 'Peers of the mesh, by state.', members),
    ...family('mesh_anchors_live', 'gauge', 'Anchors that can be reached.', [
      [{}, mesh.anchors.live.length],
    ]),
    ...family('mesh_sequence', 'counter', 'Version of our own record.', [[{}, mesh.sequence]]),
    ...family(
      ...(['gossip_rejections_total', 'counter', 'Gossip not used, by reason.'] as const),
      rejections.map(([reason, count]): Sample => [{ reason }, count]),
    ),
  ]
}

export function metricsText(status: StatusView, paths: PathsView): string {
  const lines = [agentLines(status), peerLines(status), pathLines(paths), meshLines(status)]
  return `${lines.flat().join('\n')}\n`
}
