/** Commands and options. Each command's module is loaded only when it runs. */
import yargs from 'yargs'
import type { Argv } from 'yargs'
import { ExitCode, WhalescaleError } from '../errors.js'
import { shells } from './commands/completion.js'

const defaultPings = 4
const mostPings = 1_000_000

/** Options of every command that talks to an agent. */
function target<Options>(command: Argv<Options>) {
  return command
    .option('config', {
      alias: 'c',
      type: 'string',
      describe: 'configuration that names the agent',
    })
    .option('socket', { type: 'string', describe: 'control socket of the agent' })
    .option('json', { type: 'boolean', default: false, describe: 'print JSON' })
}

const fileArgument = {
  type: 'string',
  demandOption: true,
  describe: 'configuration (TOML)',
} as const

function usageError(message: string): WhalescaleError {
  const remedy = 'see "whalescale --help"'
  return new WhalescaleError(message, { code: 'Usage', remedy, exitCode: ExitCode.usage })
}

/** @throws WhalescaleError of the command, or Usage when the arguments make no command */
export async function runCommand(args: readonly string[]): Promise<ExitCode> {
  let exitCode: ExitCode = ExitCode.ok
  const runs = (run: Promise<ExitCode>): Promise<void> =>
    run.then((code) => {
      exitCode = code
    })
  const parser = yargs([...args])
    .scriptName('whalescale')
    .usage('$0 <command>: a peer-to-peer VPN that bonds every network a machine has')
    .version('0.1.0')
    .demandCommand(1, 'name a command; see --help')
    .strict()
    .exitProcess(false)
    .wrap(Math.min(100, process.stdout.columns || 100))
    .fail((message: string | null, error: Error | undefined) => {
      if (error instanceof WhalescaleError) throw error
      if (error !== undefined && error.name !== 'YError') throw error
      throw usageError(message ?? error?.message ?? 'the arguments are wrong')
    })
  await withFileCommands(withAgentCommands(parser, runs), runs).parseAsync()
  return exitCode
}

type Runs = (run: Promise<ExitCode>) => Promise<void>

function withAgentCommands(parser: Argv, runs: Runs): Argv {
  return parser
    .command('down', 'stop the agent and undo what it did', target, async (args) =>
      runs((await import('./commands/control.js')).down(args)),
    )
    .command('status', 'show the agent and its peers', target, async (args) =>
      runs((await import('./commands/status.js')).status(args)),
    )
    .command('peers', 'show the peers', target, async (args) =>
      runs((await import('./commands/status.js')).peers(args)),
    )
    .command(
      'paths',
      'show the paths to every peer',
      (command) =>
        target(command).option('watch', {
          type: 'boolean',
          default: false,
          describe: 'redraw every second',
        }),
      async (args) => runs((await import('./commands/paths.js')).paths(args)),
    )
    .command(
      'ping <peer>',
      'ask a peer for answers through the tunnel',
      (command) =>
        target(command)
          .positional('peer', { type: 'string', demandOption: true, describe: 'name or key' })
          .option('count', { alias: 'n', type: 'number', default: defaultPings })
          .check(({ count }) => {
            if (Number.isInteger(count) && count > 0 && count <= mostPings) return true
            throw usageError(`--count must be a whole number from 1 to ${mostPings}`)
          }),
      async (args) => runs((await import('./commands/ping.js')).ping(args)),
    )
    .command(
      'reload <file>',
      'bring the running agent to a changed configuration',
      (command) => target(command).positional('file', fileArgument),
      async (args) => runs((await import('./commands/control.js')).reload(args)),
    )
}

function withFileCommands(parser: Argv, runs: Runs): Argv {
  return withKeyCommands(parser, runs)
    .command(
      'up <file>',
      'bring the tunnel up and stay in the foreground',
      (command) =>
        command
          .positional('file', fileArgument)
          .option('detach', { type: 'boolean', default: false, describe: 'go to the background' })
          .option('json', { type: 'boolean', default: false, describe: 'print errors as JSON' })
          .option('handover', { type: 'number', hidden: true }),
      async ({ file, detach, handover }) =>
        detach
          ? runs((await import('./commands/detach.js')).detach(file))
          : runs((await import('./commands/up.js')).up(file, handover)),
    )
    .command(
      'check-config <file>',
      'tell every error of a configuration',
      async (command) =>
        command
          .positional('file', fileArgument)
          .option('json', { type: 'boolean', default: false, describe: 'print JSON' })
          .epilogue((await import('../config/reference.js')).configurationHelp()),
      async (args) => runs((await import('./commands/check-config.js')).checkConfig(args)),
    )
    .command(
      'demo',
      'show a tunnel between two agents on this machine (root)',
      (command) =>
        command
          .option('bond', { type: 'boolean', default: false, describe: 'two links, one cut' })
          .option('seconds', { type: 'number', default: 5, describe: 'length of each part' })
          .option('json', { type: 'boolean', default: false, describe: 'print JSON' }),
      async (args) =>
        args.bond
          ? runs((await import('./demo/bond.js')).bondDemo(args))
          : runs((await import('./demo/demo.js')).demo(args)),
    )
    .command(
      'completion <shell>',
      'print what makes a shell complete these commands',
      (command) =>
        command.positional('shell', { choices: shells, demandOption: true, describe: 'which one' }),
      async ({ shell }) => runs((await import('./commands/completion.js')).completion(shell)),
    )
}

function withKeyCommands(parser: Argv, runs: Runs): Argv {
  return parser
    .command(
      'keygen',
      'make a private key',
      (command) =>
        command
          .option('out', { type: 'string', default: 'whalescale.key', describe: 'file to make' })
          .option('json', { type: 'boolean', default: false, describe: 'print JSON' }),
      async (args) => runs((await import('./commands/keys.js')).keygen(args)),
    )
    .command(
      'id [keyFile]',
      'print the names that follow from a private key',
      (command) =>
        target(command).positional('keyFile', { type: 'string', describe: 'file of the key' }),
      async (args) => runs((await import('./commands/keys.js')).id(args)),
    )
}
