/** What `doctor` examines. Each check is a function of what was gathered, so that it needs no machine. */
import { capabilitiesIn, neededCapabilities } from '../../node/privileges.js'
import type { StatusView } from '../../node/views.js'

type Verdict = 'ok' | 'warn' | 'fail'

export type Finding = {
  readonly check: string
  readonly verdict: Verdict
  readonly what: string
  /** Null when there is nothing to do. */
  readonly remedy: string | null
}

/** What is known about the machine; null where it could not be read. */
export type Gathered = {
  /** Null when no agent answers. */
  readonly status: StatusView | null
  /** Milliseconds since 1970. */
  readonly now: number
  /** TAI64N of the last handshake, in hexadecimal; undefined when there was none. */
  readonly timestamp: string | null | undefined
  /** rp_filter by interface, `all` among them. */
  readonly reversePathFilters: Readonly<Record<string, number>>
  readonly stateDirectory: { readonly mode: number; readonly uid: number } | null
  /** The `status` file of each of the agent's threads. */
  readonly threads: readonly string[] | null
}

const ok = (check: string, what: string): Finding => ({ check, verdict: 'ok', what, remedy: null })
const warn = (check: string, what: string, remedy: string): Finding => ({
  check,
  verdict: 'warn',
  what,
  remedy,
})
const fail = (check: string, what: string, remedy: string): Finding => ({
  check,
  verdict: 'fail',
  what,
  remedy,
})

function agent({ status }: Gathered): Finding {
  if (status === null) {
    return fail('agent', 'no agent answers', 'start it with "whalescale up CONFIG"')
  }
  return ok('agent', `runs as process ${status.pid}`)
}

function anchors({ status }: Gathered): Finding[] {
  const mesh = status?.mesh ?? null
  if (mesh === null) return []
  const told = mesh.anchors.warnings.map(({ code, message }) => {
    const remedy =
      code === 'AnchorsShareNetwork'
        ? 'make a node on another network an anchor'
        : 'set anchor = true for nodes that are reachable and stable, two at least'
    const finding = code === 'NoAnchor' ? fail : warn
    return finding('anchors', message, remedy)
  })
  if (told.length > 0) return told
  const { live } = mesh.anchors
  if (live.length === 0) return [ok('anchors', 'none is needed: no peer takes part in the mesh')]
  return [ok('anchors', `${live.length} answer: ${live.join(', ')}`)]
}

/** Seconds since 1970 of a TAI64N label, as WireGuard writes it. */
function secondsOf(timestamp: string): number {
  return Number(BigInt(`0x${timestamp.slice(0, 16)}`) - 0x400000000000000an)
}

/** The first day on which this program existed. */
const earliest = Date.UTC(2026, 0, 1)
/** Two machines' clocks may differ by this and nobody notices. */
const toleranceSeconds = 60

function clock({ now, timestamp }: Gathered): Finding {
  const remedy = 'set the clock, and keep it with an NTP client'
  if (now < earliest) {
    return fail('clock', `it shows ${new Date(now).toISOString()}, which is past`, remedy)
  }
  const behind =
    typeof timestamp === 'string' ? secondsOf(timestamp) - Math.floor(now / 1000) : -Infinity
  if (behind > toleranceSeconds) {
    return warn('clock', `it is ${behind} s behind the last handshake`, remedy)
  }
  return ok('clock', 'it has not gone back')
}

/** Strict filtering drops what arrives by another interface than the answer would leave by. */
function reversePaths({ status, reversePathFilters }: Gathered): Finding[] {
  const used = new Set(
    status?.udp.map((socket) => socket.interface).filter((name) => name !== null),
  )
  const strictEverywhere = reversePathFilters['all'] === 1
  const strict = [...used].filter((name) => {
    const own = reversePathFilters[name] ?? 0
    // The kernel uses the greater of the two (ip-sysctl.rst, rp_filter).
    return own === 1 || (strictEverywhere && own === 0)
  })
  if (used.size < 2) return []
  if (strict.length === 0) return [ok('reverse path filter', 'no interface filters strictly')]
  return strict.map((name) =>
    warn(
      ...([
        'reverse path filter',
        `${name} filters strictly: a second path may get nothing`,
      ] as const),
      `run: sysctl -w net.ipv4.conf.${name}.rp_filter=2`,
    ),
  )
}

function stateDirectory({ status, stateDirectory: found }: Gathered): Finding[] {
  if (status === null || found === null) return []
  const { stateDir } = status
  if ((found.mode & 0o077) !== 0) {
    const shown = (found.mode & 0o777).toString(8)
    return [fail('state directory', `${stateDir} has mode 0${shown}`, `run: chmod 700 ${stateDir}`)]
  }
  return [ok('state directory', `${stateDir} belongs to its owner only`)]
}

function capabilities({ status, threads }: Gathered): Finding[] {
  if (status === null || threads === null) return []
  const needed = neededCapabilities(status.listenPort)
  const sets = threads.map((text) => capabilitiesIn(text).effective)
  if (sets.some((set) => (set & needed) !== needed)) {
    return [fail('capabilities', 'the agent lacks CAP_NET_ADMIN', 'start it as root')]
  }
  if (sets.some((set) => (set & ~needed) !== 0n)) {
    const remedy = 'start it with "whalescale up", which gives root up'
    return [warn('capabilities', 'the agent holds more than it needs', remedy)]
  }
  return [ok('capabilities', `${sets.length} threads hold what they need and no more`)]
}

function offloads({ status }: Gathered): Finding[] {
  if (status === null) return []
  const { tun, udp } = status
  const missing = [
    ...(tun.vnetHeader && tun.tso ? [] : ['TCP segmentation on the TUN device']),
    ...(udp.some(({ gso }) => gso) ? [] : ['segmentation on sending (UDP_SEGMENT)']),
    ...(udp.some(({ gro }) => gro) ? [] : ['joining on receipt (UDP_GRO)']),
  ]
  if (missing.length === 0) return [ok('offloads', 'TUN and UDP have them')]
  const what = `the kernel offers no ${missing.join(', no ')}: throughput is lower`
  return [warn('offloads', what, 'use Linux 6.2 or newer')]
}

/** Everything that was found, in the order of the checks. */
export function examine(gathered: Gathered): Finding[] {
  return [
    agent(gathered),
    ...anchors(gathered),
    clock(gathered),
    ...reversePaths(gathered),
    ...stateDirectory(gathered),
    ...capabilities(gathered),
    ...offloads(gathered),
  ]
}
