/**
 * `npm run bench -- multipath`: which scenarios, schedulers, seeds; then the run, the tables, the files.
 */
import { run } from '#src/cli/demo/command.js'
import { ExitCode, WhalescaleError } from '#src/errors.js'
import { whalescaleVersion } from '../peers/agents.js'
import { SCHEDULERS, type Scheduler } from './carriers.js'
import type { Settings } from './result.js'
import { runMultipath } from './run.js'
import { SCENARIOS, type Scenario } from './scenario.js'
import { renderTables } from './table.js'
import { writeResult } from './write.js'

export interface MultipathOptions {
  readonly quick: boolean
  readonly only: string | undefined
  readonly schedulers: string | undefined
  readonly seeds: string | undefined
}

const FULL = {
  warmUpSeconds: 3,
  loadSeconds: 8,
  silentSeconds: 3,
  afterCutSeconds: 8,
  afterReturnSeconds: 14,
  afterUdpReturnSeconds: 6,
} as const
const QUICK = {
  warmUpSeconds: 1.5,
  loadSeconds: 3,
  silentSeconds: 3,
  afterCutSeconds: 3,
  afterReturnSeconds: 14,
  afterUdpReturnSeconds: 6,
} as const
const FULL_SEEDS = 10
/** Of scenarios without chance or without a bar of their own. */
const MOST_ROUNDS = 2
/** Bounds a run to hours, not days. */
const MOST_SEEDS = 100

const TOOLS = [
  { command: 'sysctl', args: ['--version'], debian: 'procps' },
  { command: 'cargo', args: ['--version'], debian: 'cargo' },
] as const

/** For the usage text. */
export const scenarioNames = SCENARIOS.map(({ name }) => name).join(', ')

export async function multipath(
  options: MultipathOptions,
  print: (line: string) => void,
  progress: (line: string) => void,
): Promise<void> {
  const { quick } = options
  const scenarios = selectScenarios(options)
  const schedulers = selectSchedulers(options)
  const seeds = seedsOf(options)
  await requireTools()
  await whalescaleVersion()
  const settings: Settings = {
    ...(quick ? QUICK : FULL),
    quick,
    schedulers,
    seeds,
    rounds: Math.min(seeds, MOST_ROUNDS),
  }
  const result = await runMultipath(scenarios, schedulers, settings, progress)
  progress('')
  print(renderTables(result).trimEnd())
  const partial = options.only !== undefined || options.schedulers !== undefined
  const label = quick ? 'multipath-quick' : partial ? 'multipath-partial' : 'multipath'
  for (const path of await writeResult(result, label)) print(`wrote ${path}`)
}

function selectScenarios({ quick, only }: MultipathOptions): readonly Scenario[] {
  if (only === undefined) return SCENARIOS.filter((scenario) => !quick || scenario.quick)
  return pick(only, SCENARIOS, ({ name }) => name, 'scenario')
}

function selectSchedulers({ quick, schedulers }: MultipathOptions): readonly Scheduler[] {
  // `redundant` aggregates nothing: it has scenarios of its own.
  if (schedulers === undefined)
    return quick ? ['auto'] : SCHEDULERS.filter((name) => name !== 'redundant')
  return pick(schedulers, SCHEDULERS, (name) => name, 'scheduler')
}

/** In the order written. */
function pick<T>(text: string, all: readonly T[], nameOf: (item: T) => string, what: string): T[] {
  return [...new Set(text.split(','))].map((name) => {
    const found = all.find((item) => nameOf(item) === name)
    if (found === undefined) throw usage(`no ${what} named ${name}`)
    return found
  })
}

function seedsOf({ quick, seeds }: MultipathOptions): number {
  const count = seeds === undefined ? (quick ? 1 : FULL_SEEDS) : Number(seeds)
  if (Number.isInteger(count) && count >= 1 && count <= MOST_SEEDS) return count
  throw usage(`--seeds wants a whole number from 1 to ${MOST_SEEDS}, not ${seeds ?? ''}`)
}

async function requireTools(): Promise<void> {
  for (const { command, args, debian } of TOOLS) {
    try {
      await run(command, args)
    } catch (error) {
      throw new WhalescaleError(`${command} does not run`, {
        code: 'ToolMissing',
        remedy: `apt-get install ${debian}`,
        cause: error,
      })
    }
  }
}

function usage(message: string): WhalescaleError {
  return new WhalescaleError(message, {
    code: 'Usage',
    remedy: 'see --help',
    exitCode: ExitCode.usage,
  })
}
