/** `npm run bench -- mesh`: real agents in one network, and a cache that is killed while it writes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { ExitCode, WhalescaleError } from '#src/errors.js'
import { projectRoot } from '#src/cli/demo/project.js'
import { table } from '#src/cli/format.js'
import { makeBed } from '../../test/bed/bed.js'
import { killWhileWriting } from '../../test/bed/lkg-kills.js'
import type { Kills } from '../../test/bed/lkg-kills.js'
import { provenance } from '../machine.js'
import { measureMesh } from './measure.js'
import type { Figure } from './measure.js'

const FULL = { nodes: 12, kills: 200 } as const
const QUICK = { nodes: 4, kills: 12 } as const

async function network(nodes: number, progress: (line: string) => void): Promise<Figure[]> {
  const teardowns: (() => unknown)[] = []
  const bed = await makeBed({ teardown: (handler) => teardowns.push(handler) })
  try {
    return await measureMesh(bed, nodes, progress)
  } finally {
    for (const teardown of teardowns) await teardown()
  }
}

async function kills(count: number): Promise<Kills> {
  const directory = mkdtempSync(join(tmpdir(), 'whalescale-kills-'))
  try {
    return await killWhileWriting(directory, count, Math.random)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const PARTS = ['network', 'kills'] as const
export const partNames = PARTS.join(', ')

function partsOf(only: string | undefined): readonly string[] {
  const wanted = only?.split(',') ?? PARTS
  const unknown = wanted.filter((name) => !PARTS.some((part) => part === name))
  if (unknown.length === 0) return wanted
  throw new WhalescaleError(`no part of the bench is called ${unknown.join(', ')}`, {
    code: 'Usage',
    remedy: `there are ${partNames}`,
    exitCode: ExitCode.usage,
  })
}

async function write(name: string, result: object): Promise<string> {
  const directory = join(projectRoot(), 'bench', 'results')
  await mkdir(directory, { recursive: true })
  const path = join(directory, `${name}.json`)
  await writeFile(path, `${JSON.stringify(result, null, 2)}\n`)
  return path
}

/** Each part writes a file of its own, so that one can be run again. */
export async function mesh(
  options: { readonly quick: boolean; readonly only: string | undefined },
  print: (line: string) => void,
  progress: (line: string) => void,
): Promise<void> {
  const parts = partsOf(options.only)
  const settings = options.quick ? QUICK : FULL
  const suffix = options.quick ? '-quick' : ''
  const machine = await provenance()
  if (parts.includes('network')) {
    const figures = await network(settings.nodes, progress)
    const seconds = (ms: number): string => (ms / 1000).toFixed(2)
    const rows = figures.map(({ name, barMs, ms }) => [name, seconds(ms), seconds(barMs)])
    print(table([`${settings.nodes} nodes`, 'took, s', 'bar, s'], rows))
    const { nodes } = settings
    print(`wrote ${await write(`mesh-network${suffix}`, { machine, nodes, figures })}`)
  }
  if (parts.includes('kills')) {
    progress(`${settings.kills} kills while writing`)
    const result = await kills(settings.kills)
    const { acknowledged, lost } = result
    print(`${settings.kills} kills: ${acknowledged} writes acknowledged, ${lost.length} lost`)
    print(
      `wrote ${await write(`mesh-kills${suffix}`, { machine, kills: settings.kills, ...result })}`,
    )
  }
}
