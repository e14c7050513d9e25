import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { fileURLToPath } from 'node:url'
import { ExitCode } from '#src/errors.js'

const entry = fileURLToPath(import.meta.resolve('#src/cli/main.js'))
const packageFile = new URL('../../package.json', import.meta.resolve('#src/cli/main.js'))

function whalescale(...args: string[]) {
  return spawnSync(process.execPath, [entry, ...args], { encoding: 'utf8' })
}

const sound = '[node]\nprivate_key_file = "a.key"\n'

t.test('the version is that of the package', (t) => {
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8')) as { version: string }
  t.equal(whalescale('--version').stdout.trim(), version)
  t.end()
})

t.test('arguments that make no command end with 2 and one line', (t) => {
  for (const args of [
    [],
    ['fly'],
    ['ping'],
    ['status', '--nothing'],
    ['ping', 'b', '--count', '0'],
  ]) {
    const { status, stderr, stdout } = whalescale(...args)
    t.equal(status, ExitCode.usage, args.join(' '))
    t.match(stderr, /^whalescale: .*; see "whalescale --help"\n$/)
    t.equal(stdout, '')
  }
  t.end()
})

t.test('every command that asks an agent ends with 3 when there is none', (t) => {
  for (const command of [['status'], ['peers'], ['paths'], ['ping', 'b'], ['down']]) {
    const { status, stderr } = whalescale(...command, '--socket', '/nowhere/w.sock')
    t.equal(status, ExitCode.notRunning, command.join(' '))
    t.match(stderr, /^whalescale: no agent is running at \/nowhere\/w\.sock; start it with/)
  }
  t.end()
})

t.test('an error is JSON when JSON is asked for', (t) => {
  const { stdout, status } = whalescale('status', '--json', '--socket', '/nowhere/w.sock')
  t.equal(status, ExitCode.notRunning)
  t.match(JSON.parse(stdout), { schema: 1, error: { code: 'NotRunning', exitCode: 3 } })
  t.end()
})

t.test('check-config prints every error with its line and ends with 2', (t) => {
  const directory = t.testdir({ 'c.toml': '[node]\nlisten_port = -1\nx = 1\n' })
  const { stderr, status } = whalescale('check-config', join(directory, 'c.toml'))
  t.equal(status, ExitCode.usage)
  const lines = stderr.trim().split('\n')
  t.equal(lines.length, 3)
  for (const [index, line] of lines.entries()) t.match(line, `c.toml:${index + 1}: node.`)
  t.end()
})

t.test('up refuses a wrong configuration before it changes anything', (t) => {
  const directory = t.testdir({ 'c.toml': sound })
  const { stderr, status } = whalescale('up', join(directory, 'c.toml'))
  t.equal(status, ExitCode.usage)
  t.match(stderr, /c\.toml:2: node\.private_key_file: .*does not exist; make it with/)
  t.end()
})

t.test('a handover that is none is refused', (t) => {
  const { stderr, status } = whalescale('up', 'c.toml', '--handover=0')
  t.equal(status, ExitCode.usage)
  t.match(stderr, /leave --handover out/)
  t.end()
})

t.test('each shell gets a completion script, and the words to complete', (t) => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { stdout, status } = whalescale('completion', shell)
    t.equal(status, ExitCode.ok)
    t.match(stdout, 'whalescale --get-yargs-completions')
  }
  t.equal(whalescale('completion', 'cmd').status, ExitCode.usage)
  t.match(whalescale('--get-yargs-completions', 'whalescale', 'che').stdout, /^check-config/m)
  t.end()
})
