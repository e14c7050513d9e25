/**
 * Builds peers once, into `$XDG_CACHE_HOME/whalescale-bench/<peer>/`, and records what was built.
 * Invariant: `peer.json` is written last, so a directory that has it holds a complete build.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

import { run } from '#src/cli/demo/command.js'
import { WhalescaleError } from '#src/errors.js'
import { reasonOf } from '../reason.js'

const BUILD_TIMEOUT_MS = 15 * 60_000
/** Newest first; a release may want a newer Go than is here, or modules that the proxy does not serve. */
const VERSIONS_TRIED = 6

function cacheDirectory(peer: string): string {
  const root = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return join(root, 'whalescale-bench', peer)
}

export function cachedBinary(peer: string, binary: string): string {
  return join(cacheDirectory(peer), 'bin', binary)
}

/** Forgets what was built, so that the next install takes the newest release again. */
export async function forget(peer: string): Promise<void> {
  await rm(cacheDirectory(peer), { recursive: true, force: true })
}

/** Builds unless done before. Throws `WhalescaleError` (peer-unavailable) with the builder's last words. */
export async function buildOnce(
  peer: string,
  build: (directory: string) => Promise<string>,
): Promise<string> {
  const directory = cacheDirectory(peer)
  const record = join(directory, 'peer.json')
  const known = await readVersion(record)
  if (known !== undefined) return known
  await mkdir(join(directory, 'bin'), { recursive: true })
  try {
    const version = await build(directory)
    await writeFile(
      record,
      `${JSON.stringify({ version, builtAt: new Date().toISOString() }, null, 2)}\n`,
    )
    return version
  } catch (error) {
    throw new WhalescaleError(`not built: ${reasonOf(error)}`, {
      code: 'PeerUnavailable',
      cause: error,
    })
  }
}

async function readVersion(record: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(record, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const { version } = JSON.parse(text) as { version?: unknown }
  return typeof version === 'string' ? version : undefined
}

/** Installs the packages of one Go module, all at `version`; returns the version that was built. */
export async function goInstall(
  directory: string,
  packages: readonly string[],
  version: string,
): Promise<string> {
  await go(directory, ['install', ...packages.map((path) => `${path}@${version}`)], {
    GOBIN: join(directory, 'bin'),
  })
  return version
}

/** The newest release this Go can build. */
export async function goInstallNewest(
  directory: string,
  module: string,
  packages: readonly string[],
): Promise<string> {
  const listed = (await go(directory, ['list', '-m', '-versions', module]))
    .trim()
    .split(/\s+/)
    .slice(1)
  const releases = listed
    .filter((version) => !version.includes('-'))
    .reverse()
    .slice(0, VERSIONS_TRIED)
  let refusal: unknown = new WhalescaleError(`${module} has no releases`, {
    code: 'UnexpectedOutput',
  })
  for (const version of releases) {
    try {
      return await goInstall(directory, packages, version)
    } catch (error) {
      refusal = error
    }
  }
  throw refusal
}

/** What `query` (such as `latest`) means today, and the module's go.mod. */
export async function goResolve(
  directory: string,
  module: string,
  query: string,
): Promise<{ version: string; goMod: string }> {
  const answer = JSON.parse(await go(directory, ['list', '-m', '-json', `${module}@${query}`])) as {
    Version?: unknown
    GoMod?: unknown
  }
  if (typeof answer.Version !== 'string' || typeof answer.GoMod !== 'string') {
    throw new WhalescaleError(`go names no version of ${module}@${query}`, {
      code: 'UnexpectedOutput',
    })
  }
  return { version: answer.Version, goMod: await readFile(answer.GoMod, 'utf8') }
}

async function go(
  directory: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { stdout } = await run('go', args, { cwd: directory, timeoutMs: BUILD_TIMEOUT_MS, env })
  return stdout
}

/** Installs the newest release of a crate's program with the lock file it was published with. */
export async function cargoInstall(directory: string, crate: string): Promise<string> {
  await run('cargo', ['install', '--locked', '--root', directory, crate], {
    cwd: directory,
    timeoutMs: BUILD_TIMEOUT_MS,
  })
  const { stdout } = await run('cargo', ['install', '--list', '--root', directory], {
    cwd: directory,
  })
  const version = new RegExp(`^${crate} v(\\S+?):?$`, 'm').exec(stdout)?.[1]
  if (version === undefined)
    throw new WhalescaleError(`cargo does not list ${crate} after installing it`, {
      code: 'UnexpectedOutput',
    })
  return version
}
