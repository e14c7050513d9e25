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
/** Namespaces and two cores: end-to-end tests run one at a time, and each may take minutes. */
const suites = [
  { directory: 'test/unit', jobs: 2, timeout: 60 },
  { directory: 'test/e2e', jobs: 1, timeout: 300 },
]
const count = { passed: 0, failed: 0, skipped: 0 }

/** @returns {Promise<number | null>} the exit code of the child, null when a signal ended it */
function exited(/** @type {import('node:child_process').ChildProcess} */ child) {
  return new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
}

async function rustTests() {
  const args = ['test', '--manifest-path', 'native/Cargo.toml', '--workspace', '--no-fail-fast']
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

/** Counts the tests of one file as they end; the file's own verdict counts when none of them failed. */
function countFile(/** @type {Parser} */ file) {
  let failedTests = 0
  file.on('assert', (/** @type {import('tap-parser').Result} */ test) => {
    if (test.skip || test.todo) count.skipped += 1
    else if (test.ok) count.passed += 1
    else failedTests += 1
    const mark = test.skip || test.todo ? '-' : test.ok ? '✓' : '✗'
    console.log(`  ${mark} ${test.name}${typeof test.skip === 'string' ? ` (${test.skip})` : ''}`)
  })
  file.on('complete', (/** @type {import('tap-parser').FinalResults} */ results) => {
    count.failed += results.ok ? 0 : Math.max(failedTests, 1)
  })
}

async function tapTests(/** @type {typeof suites[number]} */ suite, /** @type {string[]} */ files) {
  const options = ['--disable-coverage', '--allow-empty-coverage', '--reporter=tap']
  const limits = [`--jobs=${suite.jobs}`, `--timeout=${suite.timeout}`]
  const child = spawn(
    process.execPath,
    ['node_modules/tap/dist/esm/run.mjs', 'run', ...options, ...limits, ...files],
    { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const parser = new Parser()
  let seen = 0
  const failedBefore = count.failed
  parser.on('child', (/** @type {Parser} */ file) => {
    seen += 1
    console.log(file.name)
    countFile(file)
  })
  parser.on('fail', (/** @type {import('tap-parser').Result} */ test) => {
    console.log(`✗ ${test.fullname}: ${test.name}`)
    if (test.diag) console.log(inspect(test.diag, { depth: 6 }))
  })
  child.stdout.pipe(parser)
  const code = await exited(child)
  if ((code !== 0 || seen !== files.length) && count.failed === failedBefore) count.failed += 1
}

const wanted = process.argv.slice(2)
if (wanted.length === 0) await rustTests()
for (const suite of suites) {
  const files = testFiles(suite.directory, wanted)
  if (files.length > 0) await tapTests(suite, files)
}
if (count.skipped > 0) console.log(`${count.skipped} skipped`)
console.log(`${count.passed} passed, ${count.failed} failed`)
process.exitCode = count.failed === 0 && count.passed > 0 ? 0 : 1
