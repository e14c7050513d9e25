/**
 * Entry of `npm run bench`: reads the command line, runs, prints, writes.
 * Invariant: exit 0 means that the bench ran; speed is reported, never asserted.
 */
import { parseArgs } from 'node:util'

import { run } from '#src/cli/demo/command.js'
import { ExitCode, WhalescaleError } from '#src/errors.js'
import { gossipBench } from './gossip/run.js'
import { reasonOf } from './reason.js'
import { mesh, partNames } from './mesh/command.js'
import { SCHEDULERS } from './multipath/carriers.js'
import { multipath, scenarioNames } from './multipath/command.js'
import { forget } from './peers/cache.js'
import { ALL_PEERS } from './peers/list.js'
import { INNER, type Peer } from './peers/peer.js'
import type { Settings } from './throughput/result.js'
import { runThroughput } from './throughput/run.js'
import { renderTables } from './throughput/table.js'
import { writeResult } from './throughput/write.js'

const USAGE = `usage: npm run bench -- throughput [--quick] [--only NAME,...] [--rounds N]
       npm run bench -- multipath [--quick | --bars] [--only SCENARIO,...] [--schedulers NAME,...] [--seeds N|A..B]
       npm run bench -- mesh [--quick] [--only PART,...]
       npm run bench -- gossip [--quick]
       npm run bench -- peers [--only NAME,...] [--refresh]

  throughput    all peers turn by turn between two network namespaces; needs root
  multipath     one flow over several emulated links, and links that die; needs root
  mesh          real agents that find, lose and follow each other; needs root
  gossip        networks of mesh machines on virtual time
  peers         builds the peers into the cache and prints their versions
  --quick       short loads and two rounds: shows that it works, not how fast it is
  --bars        multipath: what has to be reached, three times; the rest of the grid once; some 25 minutes
  --only        these peers: ${ALL_PEERS.map((peer) => peer.name).join(', ')}
                or these scenarios: ${scenarioNames}
                or these parts of mesh: ${partNames}
  --rounds      turns of every peer (default 5, quick 2)
  --schedulers  the first is held to the bars: ${SCHEDULERS.join(', ')}
  --seeds       runs of every scenario with chance in it (default and bars 10, quick 1), or a part of them: 4..6
  --refresh     forget what was built and take the newest releases`

const FULL = {
  rounds: 5,
  loadSeconds: 5,
  idlePingSeconds: 2,
  quietSeconds: 15,
  idleCpuSeconds: 5,
  startUpTries: 3,
  /** For repeating what the host disturbed: as long again as a run of three rounds, or so. */
  patienceSeconds: 1800,
} as const
const QUICK = {
  rounds: 2,
  loadSeconds: 2,
  idlePingSeconds: 1,
  quietSeconds: 1,
  idleCpuSeconds: 2,
  startUpTries: 3,
  patienceSeconds: 0,
} as const
/** Bounds a run to hours, not days. */
const MAX_ROUNDS = 100

const TOOLS = [
  { command: 'ip', args: ['-V'], debian: 'iproute2' },
  { command: 'iperf3', args: ['--version'], debian: 'iperf3' },
  { command: 'ping', args: ['-V'], debian: 'iputils-ping' },
  { command: 'wg', args: ['--version'], debian: 'wireguard-tools' },
  { command: 'git', args: ['--version'], debian: 'git' },
] as const

async function main(): Promise<void> {
  const { values, positionals } = readArguments()
  const [command, ...rest] = positionals
  if (values.help) {
    print(USAGE)
    return
  }
  if (rest.length > 0) throw usage(`unexpected argument ${rest.join(' ')}`)
  if (command === 'multipath') {
    const { quick, bars, only, schedulers, seeds } = values
    if (quick && bars) throw usage('--quick or --bars, not both')
    const mode = quick ? 'quick' : bars ? 'bars' : 'full'
    return multipath({ mode, only, schedulers, seeds }, print, progress)
  }
  if (command === 'mesh') {
    const { quick, only } = values
    return mesh({ quick, only }, print, progress)
  }
  if (command === 'gossip') return gossipBench(values.quick, print, progress)
  const peers = selectPeers(values.only)
  if (command === 'peers') return preparePeers(peers, values.refresh)
  if (command === 'throughput')
    return throughput(peers, settingsOf(values.quick, values.rounds), values.only !== undefined)
  throw usage(command === undefined ? 'no bench named' : `no bench named ${command}`)
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        bars: { type: 'boolean', default: false },
        rounds: { type: 'string' },
        schedulers: { type: 'string' },
        seeds: { type: 'string' },
        refresh: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw usage(reasonOf(error))
  }
}

async function throughput(
  peers: readonly Peer[],
  settings: Settings,
  partial: boolean,
): Promise<void> {
  await requireMeans()
  const result = await runThroughput(peers, settings, progress)
  progress('')
  print(renderTables(result).trimEnd())
  const label = settings.quick ? 'throughput-quick' : partial ? 'throughput-partial' : 'throughput'
  for (const path of await writeResult(result, label)) print(`wrote ${path}`)
}

async function preparePeers(peers: readonly Peer[], refresh: boolean): Promise<void> {
  for (const peer of peers) {
    if (refresh) await forget(peer.name)
    try {
      print(`${peer.name}: ${await peer.install()}`)
    } catch (error) {
      print(`${peer.name}: ${reasonOf(error)}`)
    }
  }
}

async function requireMeans(): Promise<void> {
  for (const { command, args, debian } of TOOLS) {
    try {
      await run(command, args)
    } catch (error) {
      throw new WhalescaleError(`${command} does not run: ${reasonOf(error)}`, {
        code: 'ToolMissing',
        remedy: `apt-get install ${debian}`,
        cause: error,
      })
    }
  }
}

function settingsOf(quick: boolean, roundsText: string | undefined): Settings {
  const base = quick ? QUICK : FULL
  const rounds = roundsText === undefined ? base.rounds : Number(roundsText)
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > MAX_ROUNDS) {
    throw usage(
      `--rounds wants a whole number from 1 to ${String(MAX_ROUNDS)}, not ${roundsText ?? ''}`,
    )
  }
  return { ...base, rounds, quick, innerMtu: INNER.mtu }
}

function selectPeers(only: string | undefined): readonly Peer[] {
  if (only === undefined) return ALL_PEERS
  const names = new Set(only.split(','))
  const unknown = [...names].filter((name) => !ALL_PEERS.some((peer) => peer.name === name))
  if (unknown.length > 0) throw usage(`no peer named ${unknown.join(', ')}`)
  return ALL_PEERS.filter((peer) => names.has(peer.name))
}

function usage(message: string): WhalescaleError {
  return new WhalescaleError(message, {
    code: 'Usage',
    remedy: 'see --help',
    exitCode: ExitCode.usage,
  })
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}

/** On a terminal, one line that is written over; elsewhere one line each. */
function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
  else if (line !== '') process.stderr.write(`${line}\n`)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`bench: ${reasonOf(error)}\n`)
  process.exitCode = error instanceof WhalescaleError ? error.exitCode : ExitCode.failure
}
