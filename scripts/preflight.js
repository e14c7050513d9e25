/**
 * Names every tool that the build needs and this machine lacks, one line each with its remedy,
 * before anything is compiled. Prints nothing when all is there.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @returns {string | undefined} what the command printed, or undefined when it cannot be run */
function output(/** @type {string} */ command, /** @type {string[]} */ args) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  } catch {
    return undefined
  }
}

/** @returns {number} versions compared number by number, as Array.prototype.sort wants it */
function compareVersions(/** @type {string} */ left, /** @type {string} */ right) {
  return left.localeCompare(right, 'en', { numeric: true })
}

const manifest = fileURLToPath(new URL('../native/Cargo.toml', import.meta.url))
const wantedRust = /^rust-version = "([\d.]+)"/m.exec(readFileSync(manifest, 'utf8'))?.[1] ?? '0'
const rustRemedy = `get Rust ${wantedRust} or newer with "rustup update stable" (https://rustup.rs)`

/** @type {string[]} */
const missing = []

const rust = output('rustc', ['--version'])?.split(' ')[1]
if (rust === undefined || output('cargo', ['--version']) === undefined) {
  missing.push(`cargo (the Rust tool chain) is missing: run scripts/setup, or ${rustRemedy}`)
} else if (compareVersions(rust, wantedRust) < 0) {
  missing.push(`Rust ${rust} is too old: run scripts/setup, or ${rustRemedy}`)
}
if (output('cmake', ['--version']) === undefined) {
  missing.push('cmake is missing: run scripts/setup as root, or install it (apt-get install cmake)')
}
if (output('make', ['--version']) === undefined && output('ninja', ['--version']) === undefined) {
  missing.push('make is missing: run scripts/setup as root, or apt-get install make')
}
if (output('cc', ['--version']) === undefined) {
  missing.push('cc (a C compiler) is missing: run scripts/setup as root, or apt-get install gcc')
}

for (const line of missing) console.error(`whalescale build: ${line}`)
process.exitCode = missing.length === 0 ? 0 : 1
