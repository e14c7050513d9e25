/**
 * Runs every test of the project, Rust and TypeScript, and ends with the true total of both as
 * "N passed, N failed". A test is a Rust test function or a named test at the top of a TypeScript
 * file; a crate or file that dies otherwise (it does not compile, it crashes) is one failure more.
 *
 * Arguments leave Rust out and run only the TypeScript tests whose path holds one of them.
 */
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'

const root = fileURLToPath(new URL('..', import.meta.url))
/** End-to-end tests mostly wait, and every file has namespaces of its own; one takes minutes. */
const suites = [
  { directory: 'test/unit', jobs: 2, timeout: 300 },
  { directory: 'test/e2e', jobs: 3, timeout: 300 },
]
const count = { passed: 0, failed: 0, skipped: 0 }

/** @returns {Promise<number | null>} the exit code of the child, null when a signal ended it */
function exited(/** @type {import('node:child_process').ChildProcess} */ child) {
  return new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
}

/** Rust tests of some crates; those marked ignored only where `args` ask for them. */
async function rustTests(/** @type {string[]} */ ...args) {
  args.unshift('test', '--manifest-path', 'native/Cargo.toml', '--no-fail-fast')
  const child = spawn('cargo', args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] })
  let failedTests = 0
  for await (const line of createInterface({ input: child.stdout })) {
    console.log(line)
    const result = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/.exec(line)
    if (result === null) continue
    count.passed += Number(result[1])
    failedTests += Number(result[2])
    count.skipped += Number(result[3])
  }
  const code = child.exitCode ?? (await exited(child))
  count.failed += code !== 0 && failedTests === 0 ? 1 : failedTests
}

/** All of the workspace, and the emulator's tests between real network namespaces where it is root's. */
async function allRustTests() {
  await rustTests('--workspace')
  if (process.geteuid?.() !== 0) {
    console.log('not root: the tests of native/netem/tests/process.rs stay ignored')
    return
  }
  const { passed, failed } = count
  await rustTests('--package', 'whalescale-netem', '--test', 'process', '--', '--ignored')
  // They were counted among the ignored ones before.
  count.skipped -= count.passed - passed + count.failed - failed
}

/** @returns {string[]} test files below a directory, or none when there is no such directory */
function testFiles(/** @type {string} */ directory, /** @type {string[]} */ wanted) {
  /** @type {string[]} */
  let names
  try {
    names = readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
  const files = names
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(directory, name))
  return files
    .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
    .map((file) => join('build/tsc', file.replace(/\.ts$/, '.js')))
    .sort()
}

/**
 * Counts the tests of one file as they end; the file's own verdict counts when none of them failed.
 * @returns {() => number} how many have failed so far
 */
function countFile(/** @type {Parser} */ file, /** @type {string[]} */ lines) {
  let failed = 0
  file.on('assert', (/** @type {import('tap-parser').Result} */ test) => {
    const left = Boolean(test.skip) || Boolean(test.todo)
    if (left) count.skipped += 1
    else if (test.ok) count.passed += 1
    else failed += 1
    const reason = typeof test.skip === 'string' ? ` (${test.skip})` : ''
    lines.push(`  ${left ? '-' : test.ok ? '✓' : '✗'} ${test.name}${reason}`)
  })
  file.on('fail', (/** @type {import('tap-parser').Result} */ test) => {
    lines.push(`    ${test.name}`)
    if (test.diag) lines.push(inspect(test.diag, { depth: 6 }))
  })
  file.on('complete', (/** @type {import('tap-parser').FinalResults} */ results) => {
    if (!results.ok && failed === 0) failed = 1
    count.failed += failed
  })
  return () => failed
}

/** Runs one file by itself; what it prints is TAP. */
async function tapFile(/** @type {string} */ file, /** @type {number} */ timeout) {
  const child = spawn(process.execPath, ['--enable-source-maps', file], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TAP_TIMEOUT: String(timeout) },
  })
  // tap ends a test that takes too long by itself; this is for a file that hangs altogether.
  const timer = setTimeout(() => child.kill('SIGKILL'), (timeout + 10) * 1000)
  /** @type {string[]} */
  const lines = [file]
  const parser = new Parser()
  const failedBefore = countFile(parser, lines)
  child.stdout.pipe(parser)
  const code = await exited(child)
  clearTimeout(timer)
  if (code !== 0 && failedBefore() === 0) {
    count.failed += 1
    lines.push(`  ✗ the file ended with ${code ?? 'a signal'}`)
  }
  console.log(lines.join('\n'))
}

/** Runs the files of a suite, so many at a time. */
async function tapTests(/** @type {typeof suites[number]} */ suite, /** @type {string[]} */ files) {
  const waiting = [...files]
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await tapFile(file, suite.timeout)
    }
  }
  await Promise.all(Array.from({ length: suite.jobs }, worker))
}

const wanted = process.argv.slice(2)
if (wanted.length === 0) await allRustTests()
for (const suite of suites) {
  const files = testFiles(suite.directory, wanted)
  if (files.length > 0) await tapTests(suite, files)
}
if (count.skipped > 0) console.log(`${count.skipped} skipped`)
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1
