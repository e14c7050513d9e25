/**
 * One agent of the addon alone, without the program around it: commands come as lines of JSON, events
 * go as lines of JSON, bytes in hexadecimal. It ends with its input.
 *
 *     boundary KEY_FILE
 */
import { openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { messageOf } from '#src/errors.js'
import { loadNative } from '#src/native.js'
import type { Command } from '#src/native.js'
import { tunOpener } from '#src/tun/tun.js'

const [keyFile = ''] = process.argv.slice(2)

function print(value: object): void {
  const text = JSON.stringify(value, (_, field: unknown) =>
    field instanceof Uint8Array ? Buffer.from(field).toString('hex') : field,
  )
  process.stdout.write(`${text}\n`)
}

function commandsOf(line: string): Command[] {
  const commands = JSON.parse(line) as (Command & { body?: string })[]
  return commands.map((command) => ({
    ...command,
    ...(command.body === undefined ? {} : { body: Buffer.from(command.body, 'hex') }),
  }))
}

const native = loadNative()
const tun = (await tunOpener(process.platform))('whale0')
const { fd: tunFd, name: tunName, vnetHeader } = tun
native.open({ tunFd, tunName, vnetHeader, keyFd: openSync(keyFile, 'r') }, (events) => {
  events.forEach(print)
})
for await (const line of createInterface({ input: process.stdin })) {
  try {
    native.apply(commandsOf(line))
  } catch (error) {
    print({ type: 'Refused', message: messageOf(error) })
  }
}
native.close()
