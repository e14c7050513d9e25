/** From a file to a configuration, or to every error in it with file, line, key and remedy. */
import { closeSync, readFileSync, statSync } from 'node:fs'
import type * as z from 'zod/mini'
import { ExitCode, WhalescaleError, messageOf, systemCode } from '../errors.js'
import { configOf } from './config.js'
import type { Config } from './config.js'
import { ConfigError } from './error.js'
import type { ConfigProblem } from './error.js'
import { problemsBetween } from './rules.js'
import type { Problem } from './rules.js'
import { fileSchema, tables } from './schema.js'
import { openSecret } from './secret.js'
import { TomlSyntaxError, readToml } from './toml.js'
import type { KeyPath, Toml } from './toml.js'

/** 4096 peers of 1 KiB each; a larger file is a mistake. */
const largestFile = 4 * 1024 * 1024

/** sockaddr_un.sun_path is 108 bytes with its closing zero; the read-only socket adds 3. */
const longestSocketPath = 104

/** Descriptors of the secrets, by absolute path. */
export type Secrets = ReadonlyMap<string, number>

const keyOf = (path: KeyPath): string => path.map(String).join('.')

function typeName(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  return value === null || typeof value === 'object' ? 'a table' : `a ${typeof value}`
}

/** The keys that the table at a path may hold. */
function knownKeys(path: KeyPath): string[] {
  const [table] = path
  if (table === 'peer') return Object.keys(tables['[[peer]]'].shape)
  if (table === 'node' || table === 'paths' || table === 'multipath') {
    return Object.keys(tables[`[${table}]`].shape)
  }
  return Object.keys(fileSchema.shape)
}

function problemsOfIssue(issue: z.core.$ZodIssue, value: unknown): Problem[] {
  const { path } = issue
  const found = path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    value,
  )
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({
      path: [...path, key],
      what: 'unknown key',
      remedy: `remove it; known here: ${knownKeys(path).join(', ')}`,
    }))
  }
  if (found === undefined) {
    return [{ path, what: 'is missing', remedy: 'add it (see "whalescale check-config --help")' }]
  }
  if (issue.code === 'custom') {
    const remedy: unknown = issue.params?.['remedy']
    return [
      { path, what: issue.message, remedy: typeof remedy === 'string' ? remedy : 'correct it' },
    ]
  }
  if (issue.code === 'too_big' && Array.isArray(found)) {
    const what = `${found.length} entries are too many`
    return [{ path, what, remedy: `keep at most ${String(issue.maximum)}` }]
  }
  return [{ path, what: `${typeName(found)} does not fit here`, remedy: expectation(issue) }]
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `write a value of type ${issue.expected}`
    case 'too_small':
      return `it must be at least ${String(issue.minimum)}`
    case 'too_big':
      return `it must be at most ${String(issue.maximum)}`
    case 'invalid_value':
      return `it must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}`
    case 'invalid_union':
      return issue.errors.flat().map(expectation).join(', or ')
    default:
      return issue.message
  }
}

/**
 * Parses and checks the text of a configuration; no file is opened.
 * @param file its name, for messages and as the base of relative paths
 * @throws ConfigError
 */
export function parseConfig(text: string, file: string): { config: Config; toml: Toml } {
  let toml: Toml
  try {
    toml = readToml(text)
  } catch (error) {
    if (!(error instanceof TomlSyntaxError)) throw error
    const { line } = error
    throw new ConfigError([
      { file, line, key: '', what: error.message, remedy: 'correct the TOML' },
    ])
  }
  const parsed = fileSchema.safeParse(toml.value)
  if (!parsed.success) {
    const issues = parsed.error.issues.flatMap((issue) => problemsOfIssue(issue, toml.value))
    throw new ConfigError(located(issues, toml, file))
  }
  const problems = problemsBetween(parsed.data)
  if (problems.length > 0) throw new ConfigError(located(problems, toml, file))
  const config = configOf(parsed.data, file)
  if (Buffer.byteLength(config.controlSocket) > longestSocketPath) {
    const path = ['node', 'control_socket']
    const what = `${config.controlSocket} is too long for a socket`
    const remedy = `name one of at most ${longestSocketPath} bytes in all`
    throw new ConfigError(located([{ path, what, remedy }], toml, file))
  }
  return { config, toml }
}

function located(problems: readonly Problem[], toml: Toml, file: string): ConfigProblem[] {
  return problems
    .map(({ path, what, remedy }) => ({
      file,
      line: toml.lineOf(path),
      key: keyOf(path),
      what,
      remedy,
    }))
    .sort((left, right) => left.line - right.line)
}

/** @throws WhalescaleError when the file cannot be read */
export function readConfigText(file: string): string {
  try {
    if (statSync(file).size > largestFile) throw new Error(`it is larger than ${largestFile} bytes`)
    return readFileSync(file, 'utf8')
  } catch (error) {
    const denied = ['EACCES', 'EPERM'].includes(systemCode(error) ?? '')
    throw new WhalescaleError(`${file}:1: the configuration cannot be read: ${messageOf(error)}`, {
      code: 'UnreadableConfig',
      remedy: denied ? 'run as its owner or as root' : 'check the path',
      exitCode: denied ? ExitCode.permission : ExitCode.usage,
      cause: error,
    })
  }
}

/**
 * Opens every preshared key that a configuration names, and the private key unless told otherwise.
 * @throws ConfigError naming every file that is missing or open to others; nothing stays open then
 */
export function openSecrets(config: Config, toml: Toml, which: 'all' | 'preshared'): Secrets {
  const preshared = config.peers.flatMap(({ presharedKeyFile }, index): [KeyPath, string][] =>
    presharedKeyFile === null ? [] : [[['peer', index, 'preshared_key_file'], presharedKeyFile]],
  )
  const own: [KeyPath, string] = [['node', 'private_key_file'], config.privateKeyFile]
  const wanted = which === 'all' ? [own, ...preshared] : preshared
  const secrets = new Map<string, number>()
  const problems: Problem[] = []
  let denied = false
  for (const [path, file] of wanted) {
    if (secrets.has(file)) continue
    const opened = openSecret(file)
    if ('fd' in opened) secrets.set(file, opened.fd)
    else {
      problems.push({ path, ...opened.refusal })
      denied ||= opened.refusal.denied ?? false
    }
  }
  if (problems.length === 0) return secrets
  closeSecrets(secrets)
  const exitCode = denied ? ExitCode.permission : ExitCode.usage
  throw new ConfigError(located(problems, toml, config.file), exitCode)
}

export function closeSecrets(secrets: Secrets): void {
  for (const fd of secrets.values()) closeSync(fd)
}
