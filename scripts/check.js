/**
 * Every gate that a change must pass, in the order of their cost; each runs even when one before it
 * failed, so that one run tells all.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const manifest = ['--manifest-path', 'native/Cargo.toml']

/** @type {[name: string, command: string, args: string[]][]} */
const gates = [
  ['format of TypeScript', 'npx', ['prettier', '--check', '--log-level', 'warn', '.']],
  ['format of Rust', 'cargo', ['fmt', ...manifest, '--all', '--check']],
  ['types', 'npx', ['tsc', '-b']],
  ['lint of TypeScript', 'npx', ['eslint', '.']],
  ['unused code', 'npx', ['knip', '--no-progress']],
  ['table of the README', 'node', ['scripts/readme.js']],
  ['declarations of the addon', 'node', ['scripts/addon-types.js']],
  [
    'lint of Rust',
    'cargo',
    ['clippy', ...manifest, '--workspace', '--all-targets', '--quiet', '--', '-D', 'warnings'],
  ],
  ['tests', 'node', ['scripts/test.js']],
]

const failed = gates.filter(([name, command, args]) => {
  console.log(`== ${name}`)
  return spawnSync(command, args, { cwd: root, stdio: 'inherit' }).status !== 0
})

for (const [name] of failed) console.error(`failed: ${name}`)
process.exitCode = failed.length === 0 ? 0 : 1
