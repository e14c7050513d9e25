/**
 * `npm run bench -- multipath`: which scenarios, schedulers, seeds; then the run, the tables, the files.
 */
import { run } from '#src/cli/demo/command.js'
import { ExitCode, WhalescaleError } from '#src/errors.js'
import { whalescaleVersion } from '../peers/agents.js'
import { SCHEDULERS, type Scheduler } from './carriers.js'
import { agree, isComplete, merge } from './merge.js'
import { MODES, type Mode, type ModeName } from './mode.js'
import type { Result, Settings } from './result.js'
import { runMultipath } from './run.js'
import { SCENARIOS } from './scenario.js'
import { renderTables } from './table.js'
import { readResult, writeResult } from './write.js'

export interface MultipathOptions {
  readonly mode: ModeName
  readonly only: string | undefined
  readonly schedulers: string | undefined
  readonly seeds: string | undefined
}

/** Bounds a run to hours, not days. */
const MOST_SEEDS = 100
/** `redundant` aggregates nothing: it has scenarios of its own. */
const COMPARED: readonly Scheduler[] = SCHEDULERS.filter((name) => name !== 'redundant')

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
  const { only, schedulers: named, seeds } = options
  const mode = MODES[options.mode]
  const scenarios =
    only === undefined ? mode.scenarios : pick(only, SCENARIOS, ({ name }) => name, 'scenario')
  const all = mode.compares ? COMPARED : (['edpf'] as const)
  const schedulers =
    named === undefined ? all : pick(named, SCHEDULERS, (name) => name, 'scheduler')
  const whole = settingsOf(options.mode, mode, all)
  const settings = { ...whole, ...(seeds !== undefined && seedsAsked(seeds, mode)), schedulers }
  await requireTools()
  await whalescaleVersion()
  const measured = await runMultipath(scenarios, schedulers, settings, progress)
  progress('')
  const isPart = [only, named, seeds].some((choice) => choice !== undefined)
  const result = isPart ? await addUp(measured, mode) : measured
  print(renderTables(result).trimEnd())
  const labels = isPart ? [partLabel(mode)] : [mode.label]
  if (isPart && isComplete(result, mode.scenarios, whole)) labels.push(mode.label)
  for (const label of labels) {
    for (const path of await writeResult(result, label)) print(`wrote ${path}`)
  }
}

function settingsOf(name: ModeName, mode: Mode, schedulers: readonly Scheduler[]): Settings {
  const { durations, seeds, rounds, roundsWithoutBar, controls, patienceSeconds } = mode
  return {
    ...durations,
    mode: name,
    schedulers,
    firstSeed: 1,
    seeds,
    rounds,
    roundsWithoutBar,
    controls,
    patienceSeconds,
  }
}

/** What was measured, and the parts before it that belong to the same run. */
async function addUp(measured: Result, mode: Mode): Promise<Result> {
  const before = await readResult(partLabel(mode))
  return before !== undefined && agree(before, measured)
    ? merge(before, measured, SCENARIOS)
    : measured
}

const partLabel = ({ label }: Mode): string => `${label}-partial`

/** In the order written. */
function pick<T>(text: string, all: readonly T[], nameOf: (item: T) => string, what: string): T[] {
  return [...new Set(text.split(','))].map((name) => {
    const found = all.find((item) => nameOf(item) === name)
    if (found === undefined) throw usage(`no ${what} named ${name}`)
    return found
  })
}

/** `N` asks for that many, `A..B` for a part of them. */
function seedsAsked(
  text: string,
  { rounds, roundsWithoutBar }: Mode,
): Pick<Settings, 'firstSeed' | 'seeds' | 'rounds' | 'roundsWithoutBar'> {
  const [, first = '1', last = ''] = /^(?:(\d+)\.\.)?(\d+)$/.exec(text) ?? []
  const [firstSeed, seeds] = [Number(first), Number(last)]
  if (firstSeed < 1 || seeds < firstSeed || seeds > MOST_SEEDS) {
    throw usage(`--seeds wants N or A..B with whole numbers from 1 to ${MOST_SEEDS}, not ${text}`)
  }
  const most = (count: number): number => Math.min(count, seeds)
  return { firstSeed, seeds, rounds: most(rounds), roundsWithoutBar: most(roundsWithoutBar) }
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
