/**
 * Userspace WireGuard implementations that speak the configuration protocol of `wg`.
 * Invariant: namespaces share /var/run/wireguard, so device names differ between the ends and between runs.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { run } from '#src/cli/demo/command.js'
import { WhalescaleError } from '#src/errors.js'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { buildOnce, cachedBinary, cargoInstall, goInstall, goResolve } from './cache.js'
import { INNER, UNDERLAY, type Pair, type Peer, type Tunnel } from './peer.js'
import { fileExists, settle } from './settle.js'

const PORT = '51820'

interface Implementation {
  readonly name: string
  readonly binary: string
  /** Arguments that keep it in the foreground, without the device name. */
  readonly foreground: readonly string[]
  build(directory: string): Promise<string>
}

interface End {
  readonly namespace: Namespace
  readonly device: string
  readonly inner: string
  readonly privateKeyFile: string
  readonly publicKey: string
}

function wireguardPeer(implementation: Implementation): Peer {
  return {
    name: implementation.name,
    install: () => buildOnce(implementation.name, (directory) => implementation.build(directory)),
    start: (pair) => start(implementation, pair),
  }
}

async function start(implementation: Implementation, pair: Pair): Promise<Tunnel> {
  const ends = [await prepare(pair, 'a'), await prepare(pair, 'b')] as const
  const binary = cachedBinary(implementation.name, implementation.binary)
  const agents: LabProcess[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(agents.map((agent) => agent.stop()))
    await Promise.all(ends.map((end) => rm(uapiSocket(end.device), { force: true })))
  }
  try {
    for (const end of ends) {
      agents.push(
        end.namespace.spawn(binary, [...implementation.foreground, end.device], {
          env: { ...process.env, LOG_LEVEL: 'error', WG_LOG_LEVEL: 'error', WG_SUDO: 'true' },
        }),
      )
    }
    await settle('its control socket', agents, async () => {
      const there = await Promise.all(ends.map((end) => fileExists(uapiSocket(end.device))))
      return there.every(Boolean)
    })
    await configure(ends[0], ends[1], UNDERLAY.b)
    await configure(ends[1], ends[0], UNDERLAY.a)
  } catch (error) {
    await stop()
    throw error
  }
  return { agents, stop }
}

async function prepare(pair: Pair, side: 'a' | 'b'): Promise<End> {
  const privateKeyFile = join(pair.directory, `${side}.key`)
  const { stdout: privateKey } = await run('wg', ['genkey'])
  const { stdout: publicKey } = await run('wg', ['pubkey'], { input: privateKey })
  await writeFile(privateKeyFile, privateKey, { mode: 0o600 })
  return {
    namespace: pair[side],
    device: `wb${String(process.pid)}${side}`,
    inner: INNER[side],
    privateKeyFile,
    publicKey: publicKey.trim(),
  }
}

async function configure(end: End, other: End, endpoint: string): Promise<void> {
  const { namespace, device } = end
  await namespace.exec('wg', [
    'set',
    device,
    'private-key',
    end.privateKeyFile,
    'listen-port',
    PORT,
    'peer',
    other.publicKey,
    'endpoint',
    `${endpoint}:${PORT}`,
    'allowed-ips',
    `${other.inner}/32`,
  ])
  await namespace.exec('ip', [
    'address',
    'add',
    `${end.inner}/${String(INNER.prefix)}`,
    'dev',
    device,
  ])
  await namespace.exec('ip', ['link', 'set', device, 'mtu', String(INNER.mtu), 'up'])
}

function uapiSocket(device: string): string {
  return `/var/run/wireguard/${device}.sock`
}

const TAILSCALE_FORK = 'github.com/tailscale/wireguard-go'

/** The fork has no releases: the version that counts is the one tailscale itself ships. */
async function buildTailscaleFork(directory: string): Promise<string> {
  const { goMod } = await goResolve(directory, 'tailscale.com', 'latest')
  const version = new RegExp(
    `^\\s*(?:require\\s+)?${TAILSCALE_FORK.replaceAll('.', '\\.')}\\s+(\\S+)`,
    'm',
  ).exec(goMod)?.[1]
  if (version === undefined)
    throw new WhalescaleError(`tailscale's go.mod does not name ${TAILSCALE_FORK}`, {
      code: 'UnexpectedOutput',
    })
  return goInstall(directory, [TAILSCALE_FORK], version)
}

async function buildWireguardGo(directory: string): Promise<string> {
  const module = 'golang.zx2c4.com/wireguard'
  const { version } = await goResolve(directory, module, 'latest')
  return goInstall(directory, [module], version)
}

export const wireguardGo = wireguardPeer({
  name: 'wireguard-go',
  binary: 'wireguard',
  foreground: ['-f'],
  build: buildWireguardGo,
})

export const tailscaleFork = wireguardPeer({
  name: 'tailscale-fork',
  binary: 'wireguard-go',
  foreground: ['-f'],
  build: buildTailscaleFork,
})

export const gotatun = wireguardPeer({
  name: 'gotatun',
  binary: 'gotatun',
  foreground: ['--foreground'],
  build: (directory) => cargoInstall(directory, 'gotatun-cli'),
})

export const boringtun = wireguardPeer({
  name: 'boringtun',
  binary: 'boringtun-cli',
  foreground: ['--foreground'],
  build: (directory) => cargoInstall(directory, 'boringtun-cli'),
})
