/** Stock WireGuard peers: Debian's wireguard-go, set up by `wg` and `ip`, its verbose log kept. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LabProcess, Namespace } from '#src/cli/demo/lab.js'
import { finished, until } from '../bed/bed.js'
import type { Bed } from '../bed/bed.js'

type StockPeer = {
  readonly publicKey: string
  readonly allowedIps: readonly string[]
  readonly endpoint?: string
  readonly presharedKeyFile?: string
  readonly keepaliveSeconds?: number
}

export type StockPlan = {
  /** Overlay address with prefix length. */
  readonly address: string
  readonly listenPort?: number
  readonly peer: StockPeer
}

export type Stock = {
  readonly namespace: Namespace
  readonly interface: string
  readonly publicKey: string
  readonly process: LabProcess
  /** One value of `wg show`, of the only peer, such as `latest-handshakes`. */
  show(what: string): Promise<string>
  set(args: readonly string[]): Promise<void>
}

export type StockKey = { readonly file: string; readonly publicKey: string }

let made = 0

/** Makes a key pair; the private half is in a file. */
export async function makeStockKey(bed: Bed, namespace: Namespace): Promise<StockKey> {
  made += 1
  const file = join(bed.directory, `stock${made}.key`)
  const { stdout } = await namespace.exec('wg', ['genkey'])
  writeFileSync(file, stdout, { mode: 0o600 })
  const { stdout: publicKey } = await namespace.exec('sh', ['-c', `wg pubkey < ${file}`])
  return { file, publicKey: publicKey.trim() }
}

/** A preshared key, in the file that both sides take. */
export async function makePresharedKey(bed: Bed, namespace: Namespace): Promise<string> {
  made += 1
  const file = join(bed.directory, `psk${made}`)
  const { stdout } = await namespace.exec('wg', ['genpsk'])
  writeFileSync(file, stdout, { mode: 0o600 })
  return file
}

/** Starts wireguard-go and brings its interface up. */
export async function startStock(
  namespace: Namespace,
  key: StockKey,
  plan: StockPlan,
): Promise<Stock> {
  made += 1
  // Its control sockets share one directory, whatever the namespace.
  const name = `wg${process.pid % 1_000_000}x${made}`
  const running = namespace.spawn('wireguard-go', ['-f', name], {
    env: { ...process.env, LOG_LEVEL: 'verbose' },
  })
  await until(`wireguard-go made ${name}`, () => existsSync(`/var/run/wireguard/${name}.sock`))
  const { peer } = plan
  const given = (option: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [option, String(value)]
  const set = async (args: readonly string[]): Promise<void> => {
    await namespace.exec('wg', ['set', name, ...args])
  }
  await set([
    ...['private-key', key.file, 'listen-port', String(plan.listenPort ?? 51820)],
    ...['peer', peer.publicKey, 'allowed-ips', peer.allowedIps.join(',')],
    ...given('endpoint', peer.endpoint),
    ...given('preshared-key', peer.presharedKeyFile),
    ...given('persistent-keepalive', peer.keepaliveSeconds),
  ])
  await namespace.exec('ip', ['address', 'add', plan.address, 'dev', name])
  await namespace.exec('ip', ['link', 'set', name, 'mtu', '1420', 'up'])
  return {
    namespace,
    interface: name,
    publicKey: key.publicKey,
    process: running,
    show: async (what) => {
      const { stdout } = await namespace.exec('wg', ['show', name, what])
      return stdout.trim().split('\t').slice(1).join('\t')
    },
    set,
  }
}

/** Lines in which wireguard-go complains of what it received. */
export function complaints(stock: Stock): string[] {
  const { stdout, stderr } = stock.process.output()
  return `${stdout}${stderr}`
    .split('\n')
    .filter((line) => /invalid|unknown|malformed|mismatch|disallowed|ERROR/i.test(line))
}

/** Whether anything answers `ping` within `seconds`. */
export async function answers(from: Namespace, address: string, seconds: number): Promise<boolean> {
  const args = ['-n', '-c', '1', '-i', '0.2', '-w', String(seconds), address]
  return (await finished(from.spawn('ping', args))).code === 0
}
