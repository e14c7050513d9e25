/** `whalescale status` and `peers`: blocks of indented lines, one for the interface, one per peer. */
import { ExitCode } from '../../errors.js'
import type { PeerView, StatusView } from '../../node/views.js'
import { bytes, duration } from '../format.js'
import { clientOf, print, printJson } from '../target.js'
import type { Target } from '../target.js'

type Line = readonly [name: string, value: string | null]

function block(title: string, lines: readonly Line[]): string {
  const shown = lines.flatMap(([name, value]) => (value === null ? [] : [`  ${name}: ${value}`]))
  return [title, ...shown].join('\n')
}

function flags(values: Readonly<Record<string, boolean>>): string {
  return Object.entries(values)
    .map(([name, on]) => `${name} ${on ? 'on' : 'off'}`)
    .join(', ')
}

function udpFlags(udp: StatusView['udp']): string {
  return flags({ gso: udp.some(({ gso }) => gso), gro: udp.some(({ gro }) => gro) })
}

function interfaceBlock(status: StatusView): string {
  const { tun, udp, drops } = status
  const dropped = Object.entries(drops).filter(([, count]) => count > 0)
  const kernelDrops = udp.reduce((sum, socket) => sum + socket.kernelDrops, 0)
  const others = status.aeadAvailable.filter((name) => name !== status.aead)
  const missing = status.ipsecMbUnavailable
  const notes = [
    ...(others.length > 0 ? [`also here: ${others.join(', ')}`] : []),
    ...(missing === null ? [] : [`no ipsec-mb: ${missing}`]),
  ]
  return block(`interface: ${status.interface}`, [
    ['name', status.name],
    ['node id', status.nodeId],
    ['public key', status.wireguardPublicKey],
    ['addresses', status.addresses.join(', ')],
    ['listening port', String(status.listenPort)],
    ['mtu', String(status.innerMtu)],
    ['cipher', status.aead + (notes.length > 0 ? ` (${notes.join('; ')})` : '')],
    ['tun', flags({ 'vnet header': tun.vnetHeader, tso: tun.tso, uso: tun.uso })],
    ['udp', udpFlags(udp)],
    ['dropped', dropped.map(([reason, count]) => `${count} ${reason}`).join(', ') || null],
    ['dropped by the kernel', kernelDrops > 0 ? String(kernelDrops) : null],
    ['up for', duration(status.uptimeMs)],
  ])
}

function membershipOf({ mesh, anchor }: PeerView): string | null {
  if (mesh === null) return anchor ? 'configured as anchor' : null
  const notes = [...(mesh.suspected ? ['suspected'] : []), ...(mesh.anchor ? ['anchor'] : [])]
  return [mesh.state, ...notes].join(', ')
}

function addressesOf({ mesh }: PeerView): string | null {
  const shown = mesh?.candidates.map(({ endpoint, source }) => `${endpoint} (${source})`) ?? []
  return shown.join(', ') || null
}

function peerBlock(peer: PeerView): string {
  const { latestHandshakeMs: age, persistentKeepaliveS: keepalive } = peer
  const transfer = `${bytes(peer.rxBytes)} received, ${bytes(peer.txBytes)} sent`
  return block(`peer: ${peer.name}`, [
    ['node id', peer.nodeId],
    ['public key', peer.wireguardPublicKey],
    ['state', peer.state],
    ['membership', membershipOf(peer)],
    ['endpoint', peer.endpoint],
    ['known at', addressesOf(peer)],
    ['allowed ips', peer.allowedIps.join(', ') || null],
    ['latest handshake', age === null ? null : `${duration(age)} ago`],
    ['transfer', transfer],
    ['persistent keepalive', keepalive === null ? null : `every ${keepalive} s`],
  ])
}

/** This node in the mesh; nothing until it runs. */
function meshBlock({ mesh, peers }: StatusView): string[] {
  if (mesh === null) return []
  const members = peers.flatMap((peer) => (peer.mesh === null ? [] : [peer.mesh]))
  const joined = members.filter(({ state }) => state === 'joined').length
  const rejected = Object.entries(mesh.rejections).filter(([, count]) => count > 0)
  const lines = block(`mesh: ${mesh.phase}`, [
    ['peers', `${joined} of ${members.length} joined`],
    ['told to peers', mesh.endpoints.join(', ') || null],
    ['record', `number ${mesh.sequence}`],
    ['anchors', mesh.anchors.live.join(', ') || 'none answers'],
    ['recommended anchors', mesh.anchors.recommended.join(', ') || null],
    ['rejected', rejected.map(([reason, count]) => `${count} ${reason}`).join(', ') || null],
    ...mesh.anchors.warnings.map(({ message }): Line => ['warning', message]),
  ])
  return [lines]
}

export async function status(target: Target): Promise<ExitCode> {
  const view = await (await clientOf(target)).status()
  if (target.json) printJson(view)
  else print([interfaceBlock(view), ...meshBlock(view), ...view.peers.map(peerBlock)].join('\n\n'))
  return ExitCode.ok
}

export async function peers(target: Target): Promise<ExitCode> {
  const view = await (await clientOf(target)).peers()
  if (target.json) printJson(view)
  else print(view.peers.map(peerBlock).join('\n\n'))
  return ExitCode.ok
}
